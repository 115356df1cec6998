"""Finds out what a template can show, by rendering a few small conversations.

The conversations hold words that no template has. The template's own text proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from rkllm_twisted.chat.segments import text_of
from rkllm_twisted.chat.template import ITemplate
from rkllm_twisted.errors import InvalidParams


@attrs.frozen
class Abilities:
    """The features that a template can show without a change to the messages.

    :param system: True if it shows a system message at the beginning.
    :param later_system: True if it shows a second system message between other messages.
    :param neighbours: True if it shows two messages of one role in a row.
    :param tools: True if it shows tools.
    :param calls: True if it shows an earlier answer's tool calls and their results.
    :param arguments_as_text: True if it needs a call's arguments as text, False if as an object.
    :param no_content: the content that an answer needs if it is tool calls only: "" or None.
    :param parts: True if it needs each content as a list of parts.
    :param thinking: True if ``enable_thinking`` changes its output.
    """

    system: bool = True
    later_system: bool = True
    neighbours: bool = True
    tools: bool = False
    calls: bool = False
    arguments_as_text: bool = False
    no_content: str | None = ""
    parts: bool = False
    thinking: bool = False


#: Words that no template holds by itself.
_WORDS = ("zqfirst", "zqsecond", "zqthird", "zqfourth")
_NOW = datetime(2000, 1, 1)
_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "zqtool",
        "description": "zqtool",
        "parameters": {"type": "object", "properties": {"zqname": {"type": "string"}}},
    },
}


class _Prober:
    def __init__(self, template: ITemplate) -> None:
        self._template = template
        self.parts = False

    def message(self, role: str, word: str) -> Mapping[str, object]:
        content = [{"type": "text", "text": word}] if self.parts else word
        return {"role": role, "content": content}

    def messages(self, *roles: str) -> list[Mapping[str, object]]:
        return [self.message(role, word) for role, word in zip(roles, _WORDS, strict=False)]

    def render(
        self,
        messages: Sequence[Mapping[str, object]],
        tools: Sequence[Mapping[str, object]] = (),
        **variables: object,
    ) -> str | None:
        """Return the rendered text, or None if the template refuses the messages."""
        try:
            pieces = self._template.render(messages, now=_NOW, tools=tools, variables=variables)
        except InvalidParams:
            return None
        return text_of(pieces)

    def shows(self, *roles: str) -> bool:
        """True if the template shows each of some messages, with these roles, exactly once."""
        text = self.render(self.messages(*roles)) or ""
        return all(text.count(word) == 1 for word in _WORDS[: len(roles)])

    def shows_call(self, arguments: object, content: str | None) -> bool:
        """True if the template shows an earlier call and its result."""
        call = {
            "id": "zqid12345",  # Mistral's templates want nine letters and digits
            "type": "function",
            "function": {"name": "zqtool", "arguments": arguments},
        }
        user, result = self.message("user", "zqask"), self.message("tool", "zqresult")
        answer = {"role": "assistant", "content": content, "tool_calls": [call]}
        messages = [user, answer, {**result, "tool_call_id": "zqid12345", "name": "zqtool"}]
        text = self.render(messages, [_TOOL]) or ""
        return all(word in text.replace("zqtool", "", 2) for word in ("zqvalue", "zqresult"))


def probe(template: ITemplate) -> Abilities:
    """Find out what a template can show."""
    prober = _Prober(template)
    if not prober.shows("user"):
        prober.parts = True
        prober.parts = prober.shows("user")
    calls = [
        (as_text, content)
        for content in ("", None)
        for as_text in (False, True)
        if prober.shows_call('{"zqname": "zqvalue"}' if as_text else {"zqname": "zqvalue"}, content)
    ]
    as_text, no_content = calls[0] if calls else (False, "")
    user = prober.messages("user")
    thoughts = {prober.render(user, enable_thinking=value) for value in (True, False)}
    return Abilities(
        system=prober.shows("system", "user"),
        later_system=prober.shows("system", "user", "system", "user"),
        neighbours=prober.shows("user", "user") and prober.shows("user", "assistant", "assistant"),
        tools="zqtool" in (prober.render(user, [_TOOL]) or ""),
        calls=bool(calls),
        arguments_as_text=as_text,
        no_content=no_content,
        parts=prober.parts,
        thinking=len(thoughts) > 1,
    )
