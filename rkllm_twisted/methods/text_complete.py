"""``text.complete``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method.

    :param prompt: a text, or tokens.
    :param model: a model by its name or alias; null for the loaded one.
    :param suffix: the text behind the gap, for models that can fill one.
    :param sampling: fields of RKLLMSamplingParam, from release 1.3.0 on.
    :param max_new_tokens: the most tokens of the answer.
    :param stop: a text, or up to 16, of at most 1,000 characters each; the answer ends before the
        first that it would contain.
    :param lora: the name of a loaded LoRA adapter.
    :param stream: send the answer in pieces while the model writes it.
    """

    prompt: str | list[int]
    model: str | None = None
    suffix: str | None = None
    sampling: Mapping[str, Any] | None = None
    max_new_tokens: int | None = None
    stop: Any = None
    lora: str | None = None
    stream: bool = False


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU)
@attrs.frozen
class TextComplete:
    """Continues a text."""

    name = "text.complete"
    summary = "Continue a text as it is, without a chat template."
    params = Params
    streams = True

    def call(self, call: ICall) -> object:
        """Queue turns of the NPU."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


text_complete = TextComplete()
