"""The events of an answer, in the form that clients receive."""

from __future__ import annotations

import attrs


@attrs.frozen
class Content:
    """A piece of the answer's text."""

    text: str


@attrs.frozen
class Reasoning:
    """A piece of the reasoning, which comes before the answer."""

    text: str


@attrs.frozen
class ToolCallBegin:
    """The model begins to call a function. The arguments follow as further events.

    :param index: the number of the call in this answer, from 0.
    """

    index: int
    id: str
    name: str


@attrs.frozen
class ToolCallArguments:
    """A piece of the JSON text of a call's arguments."""

    index: int
    text: str


@attrs.frozen
class ToolCallBroken:
    """A call had begun, but its text turned out not to be a call.

    Discard the call and the arguments that came so far.

    :param text: what the model wrote, with the mark. It is part of the answer's text.
    """

    index: int
    text: str


@attrs.frozen
class Finish:
    """The answer is complete, or was ended.

    :param reason: why it ended: ``stop``, ``length``, ``tool_calls`` or ``cancelled``.
    """

    reason: str


Event = Content | Reasoning | ToolCallBegin | ToolCallArguments | ToolCallBroken | Finish


def joined(events: list[Event]) -> list[Event]:
    """Return the events after neighbouring pieces of one text are joined."""
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
