"""``text.structured``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method. Exactly one of schema, regex, choices and grammar is given.

    :param prompt: a text, or tokens.
    :param schema: a JSON schema. The answer is JSON without white space between its parts.
    :param regex: a pattern that the whole answer matches.
    :param choices: texts, of which the answer is one.
    :param grammar: a grammar in Lark's or GBNF's form.
    :param model: a model by its name or alias; null for the loaded one.
    :param sampling: fields of RKLLMSamplingParam, on any release, and seed.
    :param max_new_tokens: the most tokens of the answer; more than 4096 is as 4096.
    :param stop: a text, or up to 16, of at most 1,000 characters each; the answer ends before the
        first that it would contain.
    :param lora: the name of a loaded LoRA adapter.
    :param stream: send the answer in pieces while the model writes it.
    """

    prompt: str | list[int]
    schema: Mapping[str, Any] | None = None
    regex: str | None = None
    choices: list[str] | None = None
    grammar: str | None = None
    model: str | None = None
    sampling: Mapping[str, Any] | None = None
    max_new_tokens: int | None = None
    stop: Any = None
    lora: str | None = None
    stream: bool = False


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU)
@attrs.frozen
class TextStructured:
    """Continues a text in a given form."""

    name = "text.structured"
    summary = "Continue a text with an answer that keeps to a schema, a pattern or a grammar."
    params = Params
    streams = True

    def call(self, call: ICall) -> object:
        """Queue a turn of the NPU."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


text_structured = TextStructured()
