"""A conversation for the slots of ``rkllm_set_chat_template``, if there is no tokenizer.

The earlier conversation goes into the system slot. The template's texts around the newest message
become prefix and postfix. The newest message is the prompt. A measurement showed that the runtime
then reads the same tokens as in separate turns. In the slots the runtime reads marks as control
tokens, so marks in messages are broken up.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs

from rkllm_twisted.chat.messages import Conversation, Message, Part, Text, ToolCall, say
from rkllm_twisted.chat.prompts import SlotContent
from rkllm_twisted.chat.segments import Pieces, broken_up
from rkllm_twisted.errors import InvalidParams

#: Stands for a message while the text around the message is looked for.
_PROBE = "zqmessage"
#: A function that renders messages; True adds the beginning of an answer.
Render = Callable[[Conversation, bool], Pieces]


def slot_content(
    messages: Conversation, render: Render, marks: tuple[str, ...], others: tuple[str, ...] = ()
) -> SlotContent:
    """Return a conversation for the slots.

    :param messages: the conversation, the newest message last.
    :param render: a function that renders messages.
    :param marks: the control tokens that the template writes.
    :param others: further texts that the runtime may read as control tokens in the slots. The
        template may join such a text of parts, which is then left as it is.
    :raises InvalidParams: the template does not show the newest message.
    """
    # A template looks for its own marks in messages, e.g. </think>: they are broken up afterwards.
    others = tuple(mark for mark in others if mark not in marks)
    *earlier, newest = (_broken_up(message, others) for message in messages)
    probe = _PROBE
    while any(probe in message.text for message in messages):
        probe += "q"

    def text(given: Conversation, generate: bool) -> str:
        pieces = render(given, generate)
        return "".join(
            broken_up(piece, marks) if isinstance(piece, str) else piece.text for piece in pieces
        )

    before, found, postfix = text((*earlier, _saying(newest, probe)), True).partition(probe)
    if not found:
        raise not_shown()
    user_prefix = _prefix(text)
    usual = newest.role == "user" and before.endswith(user_prefix)
    prefix = user_prefix if usual else ""
    return SlotContent(
        before[: len(before) - len(prefix)],
        prefix,
        postfix,
        messages,
        broken_up(newest.text, marks),
        user_prefix,
    )


def _broken_up(message: Message, marks: tuple[str, ...]) -> Message:
    """Return a message in which no text of a client's holds a whole mark."""

    def part(given: Part) -> Part:
        return Text(broken_up(given.text, marks)) if isinstance(given, Text) else given

    def call(given: ToolCall) -> ToolCall:
        arguments = given.arguments
        if "\\" in arguments:  # JSON may write a mark's characters as escapes
            arguments = json.dumps(json.loads(arguments), ensure_ascii=False)
        return attrs.evolve(given, arguments=broken_up(arguments, marks))

    return attrs.evolve(
        message,
        parts=tuple(map(part, message.parts)),
        reasoning=broken_up(message.reasoning, marks),
        tool_calls=tuple(map(call, message.tool_calls)),
    )


def not_shown() -> InvalidParams:
    """Return the error for a template that leaves out the newest message."""
    return InvalidParams(
        "The model's chat template does not show the last message.", {"parameter": "model"}
    )


def _saying(message: Message, text: str) -> Message:
    return attrs.evolve(message, parts=(Text(text),))


def _prefix(text: Callable[[Conversation, bool], str]) -> str:
    """Return the text before any user's message; empty if it depends on the earlier messages."""
    talk = (say("user", "zqone"), say("assistant", "zqtwo"), say("user", _PROBE))
    earlier, whole = text(talk[:2], False), text(talk, False)
    if not whole.startswith(earlier):
        return ""
    return whole[len(earlier) :].partition(_PROBE)[0]
