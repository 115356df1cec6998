"""The lines of a child, and the call that each belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher

from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.isolation.marks import CallMarks
from rkllm_twisted.isolation.output import (
    MAX_LINE_BYTES,
    ChildOutput,
    complaints,
    explained,
    log_line,
    reason_in,
)

MARKS = CallMarks()
mark_of = MARKS.of


@given(data=st.data())
def test_lines_belong_to_the_call_during_which_they_were_printed(data: st.DataObject) -> None:
    """The bytes may be split anywhere, and a call may leave a line unfinished."""
    stream = b"start\n" + mark_of(7) + b"E one\ntail" + mark_of(8) + b"two\n\n" + mark_of(9)
    output = ChildOutput(MARKS)
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        output.feed(2, stream[:size])
        stream = stream[size:]
    assert output.lines_of(0) == ("start",)
    assert output.lines_of(7) == ("E one", "tail")
    assert output.lines_of(8) == ("two", "")
    assert (output.lines_of(9), output.call) == ((), 9)


@pytest.mark.parametrize(
    "number", ["²", "٣", "", "-1", "1" * 5000, "8", "8 ", "8 0123456789abcdef"]
)
def test_a_printed_mark_without_a_calls_word_changes_nothing(number: str) -> None:
    """A library may print any bytes, but not the word of a call that is not sent yet."""
    output = ChildOutput(MARKS)
    output.feed(2, mark_of(7) + f"\x1e{number}\none\n".encode())
    assert (output.call, output.lines_of(7)[-1:]) == (7, ("one",))
    assert output.lines_of(8) == ()


def test_the_mark_of_an_earlier_call_printed_again_is_a_line() -> None:
    """The library of call 8 could have kept that of call 7."""
    output = ChildOutput(MARKS)
    output.feed(2, mark_of(7) + mark_of(8) + mark_of(7) + b"secret\n")
    assert output.lines_of(7) == ()
    assert output.lines_of(8) == (mark_of(7).decode().rstrip("\n"), "secret")


def test_another_childs_mark_is_a_line() -> None:
    """Each child has a key of its own."""
    output = ChildOutput(MARKS)
    output.feed(1, CallMarks().of(1))
    assert output.call == 0


def test_a_mark_after_a_long_unfinished_line_is_seen() -> None:
    """The lines after it are the next call's."""
    output = ChildOutput(MARKS)
    output.feed(1, mark_of(1) + b"x" * 3 * MAX_LINE_BYTES)
    mark = mark_of(2)
    for byte in mark:
        output.feed(1, bytes([byte]))
    output.feed(1, b"two\n")
    assert output.lines_of(1) == ("x" * MAX_LINE_BYTES,)
    assert output.lines_of(2) == ("two",)


def test_each_stream_has_its_own_marks() -> None:
    """stdout may be read long before stderr."""
    output = ChildOutput(MARKS)
    output.feed(1, mark_of(1) + b"a\n" + mark_of(2) + b"b\n")
    output.feed(2, mark_of(1) + b"c\n")
    assert output.lines_of(1) == ("a", "c")
    assert output.lines_of(2) == ("b",)


def test_a_long_line_is_cut_and_a_last_one_needs_no_end() -> None:
    """A long line must not fill the daemon's memory or log."""
    output = ChildOutput(MARKS)
    output.feed(1, b"x" * 3 * MAX_LINE_BYTES)
    output.finish()
    assert output.lines_of(0) == ("x" * MAX_LINE_BYTES,)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("E rkllm: no", LogLevel.error),
        ("W rkllm: hm", LogLevel.warn),
        ("I rkllm: yes", LogLevel.info),
        ("E RKNN: [12:00] no", LogLevel.error),
        ("Every line", LogLevel.info),
        ("", LogLevel.info),
    ],
)
def test_a_line_is_logged_with_its_own_level(line: str, level: LogLevel) -> None:
    """--log-level warn therefore shows the library's warnings and errors."""
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        log_line(line)
    finally:
        globalLogPublisher.removeObserver(events.append)
    [event] = events
    assert (event["log_level"], event["log_namespace"]) == (level, "rkllm.runtime")


def test_the_reason_is_the_last_error_or_else_the_last_warning() -> None:
    """The library's prefix and suffix are removed."""
    lines = ["I rkllm: hello", "E rkllm: first", "E rkllm: second.", "W rkllm: third"]
    assert complaints(lines) == lines[1:]
    assert reason_in(lines) == "second"
    assert reason_in(lines[3:]) == "third"
    assert reason_in(lines[:1]) is None


def test_the_reason_stands_in_the_sentence_of_a_refusal() -> None:
    """The lines are in the error's data; the daemon's own errors do not change."""
    refused = RuntimeRefused("…", {"function": "rkllm_init", "status_code": -1})
    lines = ["E rkllm: rkllm_init: m.gguf is empty"]
    error = explained(refused, lines)
    assert str(error) == "rkllm_init returned -1: m.gguf is empty."
    assert error.data == {"function": "rkllm_init", "status_code": -1, "lines": lines}
    assert explained(refused, []) is refused
    other = RPCError("…")
    assert explained(other, lines) is other
