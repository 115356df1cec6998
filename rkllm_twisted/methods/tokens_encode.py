"""``tokens.encode``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod


@attrs.frozen
class Params:
    """The parameters of the method.

    :param text: the text.
    :param model: a model by its name or alias; null for the loaded one.
    :param marks: read the texts of control tokens as such; otherwise they are letters.
    """

    text: str
    model: str | None = None
    marks: bool = False


@implementer(IPlugin, IRPCMethod, INeedsModel)
@attrs.frozen
class TokensEncode:
    """Encodes a text."""

    name = "tokens.encode"
    summary = "The tokens of a text, by the tokenizer.json beside the model."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Prepare it in a thread."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


tokens_encode = TokensEncode()
