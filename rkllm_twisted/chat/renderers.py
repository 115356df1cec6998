"""Makes a prompt of a conversation, with the model's own template or with its family's marks."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from datetime import datetime

from rkllm_twisted.chat.abilities import Abilities, probe
from rkllm_twisted.chat.families import Family, Wrap, marks_in
from rkllm_twisted.chat.messages import Conversation, Message, Text
from rkllm_twisted.chat.segments import Mark, Pieces, merged, split_marks
from rkllm_twisted.chat.template import ITemplate
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS
from rkllm_twisted.chat.tools import NO_TOOLS, Tools, around_schemas, schemas


class TemplateRenderer:
    """Renders with a template.

    :param abilities: what the template can show. Arrange a conversation for it before rendering.
    """

    def __init__(self, template: ITemplate) -> None:
        self._template = template
        self.abilities = probe(template)
        self.marks: tuple[str, ...] = tuple(template.marks)

    def render(
        self,
        messages: Conversation,
        *,
        now: datetime,
        tools: Tools = NO_TOOLS,
        thinking: bool | None = None,
        generate: bool = True,
    ) -> Pieces:
        """Render a conversation.

        :param now: the local time, for templates that show the date.
        :param thinking: True if the model is to reason first, False if not; None for the
            template's default.
        :param generate: True if the prompt is to end with the beginning of an answer.
        :raises InvalidParams: the template refuses the conversation.
        """
        return self._template.render(
            [view(message, self.abilities) for message in messages],
            now=now,
            tools=tools.definitions if self.abilities.tools else (),
            generate=generate,
            variables={} if thinking is None else {"enable_thinking": thinking},
        )


def view(message: Message, abilities: Abilities) -> Mapping[str, object]:
    """Return a message in the form that templates read (transformers, "Chat templates")."""
    seen: dict[str, object] = {"role": message.role, "content": _content(message, abilities)}
    if message.reasoning:
        seen["reasoning_content"] = message.reasoning
    if message.tool_calls:
        seen["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": call.arguments
                    if abilities.arguments_as_text
                    else json.loads(call.arguments),
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        seen["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        seen["name"] = message.name
    return seen


def _content(message: Message, abilities: Abilities) -> object:
    if not message.parts and message.tool_calls:
        return abilities.no_content
    if not abilities.parts:
        return message.text
    texts = (part.text for part in message.parts if isinstance(part, Text))
    return [{"type": "text", "text": text} for text in texts]


class FamilyRenderer:
    """Renders with the marks of a row of the family table.

    :param control: the model's control tokens, or None if they are unknown. If a mark of the row is
        not among them, it is written as plain text. The marks at the beginning of the prompt, of a
        user's message and of an answer are the exception: they stay marks.
    """

    def __init__(self, family: Family, control: Container[str] | None = None) -> None:
        self._family = family
        self._form = TOOL_FORMATS[family.tool_format]
        needed = marks_in(family.begin, family.user.prefix, family.assistant.prefix)
        marks = (*family.marks, *self._form.marks)
        self.marks = tuple(
            mark for mark in marks if control is None or mark in control or mark in needed
        )
        self.abilities = Abilities(
            system=family.system is not None,
            later_system=family.system is not None,
            neighbours=not family.alternates,
            tools=True,
            calls=family.tool is not None,
            thinking=family.reasoning is not None and not family.reasoning.opened,
        )

    def render(
        self,
        messages: Conversation,
        *,
        now: datetime,
        tools: Tools = NO_TOOLS,
        thinking: bool | None = None,
        generate: bool = True,
    ) -> Pieces:
        """Render a conversation; see :meth:`TemplateRenderer.render`."""
        pieces = [*self._split(self._family.begin)]
        instruction = self._instruction(tools)
        if instruction and self._family.system and messages[0].role != "system":
            pieces += self._wrapped("system", instruction)
            instruction = []
        for message in messages:
            pieces += self._wrapped(
                message.role, [message.text, *self._calls(message)], instruction
            )
            instruction = []
        if generate:
            pieces += self._split(self._family.assistant.prefix + self._thoughts(thinking))
        return merged(pieces)

    def _split(self, text: str) -> Pieces:
        return split_marks(text, self.marks)

    def _instruction(self, tools: Tools) -> list[str | Mark]:
        """Return the instruction that tells the model how to call tools, in the family's form."""
        if not tools:
            return []
        before, behind = around_schemas(self._form)
        return [before, schemas(tools), *self._split(behind)]

    def _wrapped(
        self, role: str, said: Iterable[str | Mark], instruction: Iterable[str | Mark] = ()
    ) -> Iterable[str | Mark]:
        """Return a message with the marks around it.

        :param said: the pieces of the message.
        :param instruction: pieces of an instruction; they go behind the text of a system message,
            and before any other text.
        """
        wrap = self._wrap(role)
        both = (said, instruction) if role == "system" else (instruction, said)
        between = ["\n\n"] if instruction else []
        return (
            *self._split(wrap.prefix),
            *both[0],
            *between,
            *both[1],
            *self._split(wrap.postfix),
        )

    def _wrap(self, role: str) -> Wrap:
        family = self._family
        wraps = {"system": family.system, "assistant": family.assistant, "tool": family.tool}
        return wraps.get(role) or family.user

    def _calls(self, message: Message) -> Iterable[str | Mark]:
        form = self._form
        for call in message.tool_calls:
            yield "\n" if message.text else ""
            yield from self._split(form.begin)
            yield json.dumps(call.name, ensure_ascii=False)[1:-1]
            yield from self._split(form.arguments)
            yield call.arguments
            yield from self._split(form.end)

    def _thoughts(self, thinking: bool | None) -> str:
        marks = self._family.reasoning
        if marks is None:
            return ""
        if marks.opened:
            return f"{marks.open}\n"
        return f"{marks.open}\n\n{marks.close}\n\n" if thinking is False else ""


Renderer = TemplateRenderer | FamilyRenderer
