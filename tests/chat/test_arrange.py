"""Messages of one role in a row become one."""

from __future__ import annotations

import attrs

from rkllm_twisted.chat.arrange import neighbours_joined
from rkllm_twisted.chat.messages import ToolCall, say


def test_neighbours_are_joined_with_an_empty_line_between() -> None:
    joined = neighbours_joined((say("user", "a"), say("user", "b"), say("assistant", "c")))
    assert [(one.role, one.text) for one in joined] == [("user", "a\n\nb"), ("assistant", "c")]


def test_calls_and_their_results_are_not_joined() -> None:
    call = attrs.evolve(say("assistant", "x"), tool_calls=(ToolCall("1", "f", "{}"),))
    talk = (say("assistant", "a"), call, call, say("tool", "1"), say("tool", "2"))
    assert neighbours_joined(talk) == talk


def test_very_many_neighbours_are_joined_at_once() -> None:
    """The square of their number would take minutes."""
    (joined,) = neighbours_joined((say("user", "q"),) * 60_000)
    assert len(joined.parts) == 2 * 60_000 - 1
