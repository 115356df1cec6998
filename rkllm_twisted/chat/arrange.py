"""A conversation changed so that a template can show it.

Each kind of change is named in the result. No text is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import attrs

from rkllm_twisted.chat.abilities import Abilities
from rkllm_twisted.chat.messages import Conversation, Message, Text
from rkllm_twisted.chat.tools import Tools, as_text, with_instruction

#: The changes that :func:`arrange` can make. The answer reports them by these names.
TOOLS_AS_TEXT = "tools_as_text"
SYSTEM_AS_USER = "system_as_user"
SYSTEM_FOLDED = "system_folded"
NEIGHBOURS_JOINED = "neighbours_joined"


def arrange(
    messages: Conversation, tools: Tools, abilities: Abilities
) -> tuple[Conversation, tuple[str, ...]]:
    """Return the conversation for a template with these abilities, and the names of the changes."""
    steps: tuple[tuple[str, bool, Callable[[Conversation], Conversation]], ...] = (
        (TOOLS_AS_TEXT, not abilities.calls, lambda given: tuple(map(_without_calls, given))),
        (
            TOOLS_AS_TEXT,
            bool(tools) and not abilities.tools,
            lambda given: with_instruction(given, tools),
        ),
        (SYSTEM_AS_USER, not abilities.later_system, _later_system_as_user),
        (SYSTEM_FOLDED, not abilities.system, _system_folded),
        (NEIGHBOURS_JOINED, not abilities.neighbours, neighbours_joined),
    )
    changes: list[str] = []
    for name, needed, change in steps:
        changed = change(messages) if needed else messages
        if changed != messages and name not in changes:
            changes.append(name)
        messages = changed
    return messages, tuple(changes)


def _without_calls(message: Message) -> Message:
    return as_text(message) if message.tool_calls or message.role == "tool" else message


def _later_system_as_user(messages: Conversation) -> Conversation:
    """Join the system messages at the beginning. Turn each later one into a user message."""
    start = next((at for at, one in enumerate(messages) if one.role != "system"), len(messages))
    first = neighbours_joined(messages[:start])
    later = (
        attrs.evolve(one, role="user") if one.role == "system" else one for one in messages[start:]
    )
    return (*first, *later)


def _system_folded(messages: Conversation) -> Conversation:
    """Put the text of the system message at the beginning of the first user message."""
    if messages[0].role != "system":
        return messages
    system, *others = messages
    at = next((at for at, one in enumerate(others) if one.role == "user"), None)
    if at is None:
        return (attrs.evolve(system, role="user"), *others)
    parts = (*system.parts, Text("\n\n"), *others[at].parts)
    return (*others[:at], attrs.evolve(others[at], parts=parts), *others[at + 1 :])


def neighbours_joined(messages: Conversation) -> Conversation:
    """Join messages of one role in a row, with an empty line between them."""
    joined: list[Message] = []
    # Not message by message: copying what is joined already would take the square of the time.
    for _, group in groupby(enumerate(messages), _group_of):
        first, *others = (message for _, message in group)
        more = (part for one in others for part in (Text("\n\n"), *one.parts))
        joined.append(attrs.evolve(first, parts=(*first.parts, *more)) if others else first)
    return tuple(joined)


def _group_of(numbered: tuple[int, Message]) -> tuple[str, int]:
    """Return the same value for messages in a row that can be joined."""
    number, message = numbered
    return message.role, number if _is_call(message) else -1


def _is_call(message: Message) -> bool:
    """True for tool calls and their results. They are never joined."""
    return bool(message.tool_calls) or message.role == "tool"
