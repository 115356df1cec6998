"""The events of an answer, as clients get them."""

from __future__ import annotations

import attrs


@attrs.frozen
class Content:
    """A piece of the answer."""

    text: str


@attrs.frozen
class Reasoning:
    """A piece of the reasoning before the answer."""

    text: str


@attrs.frozen
class ToolCallBegin:
    """The model calls a function; its arguments follow.

    :param index: counts the calls of one answer from 0.
    """

    index: int
    id: str
    name: str


@attrs.frozen
class ToolCallArguments:
    """A piece of a call's arguments: JSON text."""

    index: int
    text: str


@attrs.frozen
class ToolCallBroken:
    """A call that was already begun turned out not to be JSON.

    :param text: the model's text, with the mark. It is part of the answer's text; the call and
        its arguments so far are void.
    """

    index: int
    text: str


@attrs.frozen
class Finish:
    """The end of the answer.

    :param reason: ``stop``, ``length``, ``tool_calls`` or ``cancelled``.
    """

    reason: str


Event = Content | Reasoning | ToolCallBegin | ToolCallArguments | ToolCallBroken | Finish


def joined(events: list[Event]) -> list[Event]:
    """Return the events with adjacent pieces of one text as one piece."""
    made: list[Event] = []
    for event in events:
        last = made[-1] if made else None
        match last, event:
            case (Content(text), Content(more)):
                made[-1] = Content(text + more)
            case (Reasoning(text), Reasoning(more)):
                made[-1] = Reasoning(text + more)
            case (ToolCallArguments(index, text), ToolCallArguments(same, more)) if same == index:
                made[-1] = ToolCallArguments(index, text + more)
            case _:
                made.append(event)
    return made
