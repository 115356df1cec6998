"""A run that ended in state ERROR is one error, for methods, plugins and clients."""

from __future__ import annotations

from typing import Any

import pytest

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import LINES, RunState

LONG = "E rkllm: rkllm_run: the prompt has 99 tokens, but the context has room for 64"


def refused(lines: list[str] | None, room: int | None = None) -> RuntimeRefused:
    """Return the error for a run with these lines."""
    final: dict[str, Any] = {"_callback_state": RunState.ERROR}
    with pytest.raises(RuntimeRefused) as caught:
        check_run(final if lines is None else {**final, LINES: lines}, room)
    return caught.value


def test_a_run_that_has_finished_is_no_error() -> None:
    final = {"_callback_state": RunState.FINISH}
    assert check_run(final, None) is final


def test_the_last_line_of_the_library_is_the_reason() -> None:
    error = refused(["W rkllm: it is warm", "E rkllm: rkllm_run: no adapter has this name."])
    assert str(error) == "The run ended in an error: no adapter has this name."
    assert error.data is not None
    assert error.data["lines"] == [
        "W rkllm: it is warm",
        "E rkllm: rkllm_run: no adapter has this name.",
    ]


@pytest.mark.parametrize("line", ["boom", "E rkllm: "])
def test_a_line_in_another_form_is_shown_as_it_is(line: str) -> None:
    assert str(refused([line])) == f"The run ended in an error: {line}."


def test_without_lines_the_error_says_where_to_look() -> None:
    assert str(refused(None)) == "The run ended in an error; the runtime's log lines say why."


def test_the_room_is_named_if_the_reason_is_the_context() -> None:
    error = refused([LONG], 64)
    assert str(error).endswith("with room for 64 tokens of prompt, history and answer together.")
    assert error.data is not None
    assert error.data["max_context_len"] == 64
    assert "None" not in str(refused([LONG], None))
