"""``tokens.decode``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod


@attrs.frozen
class Params:
    """The parameters of the method.

    :param tokens: the ids.
    :param model: a model by its name or alias; null for the loaded one.
    """

    tokens: list[int]
    model: str | None = None


@implementer(IPlugin, IRPCMethod, INeedsModel)
@attrs.frozen
class TokensDecode:
    """Decodes tokens."""

    name = "tokens.decode"
    summary = "The text of tokens, by the tokenizer.json beside the model."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Prepare it in a thread."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


tokens_decode = TokensDecode()
