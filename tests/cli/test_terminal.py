"""Output for a person at a terminal, or for a program that reads a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from rkllm_twisted.cli.terminal import console, say, show_table, waiting

#: Colours, a title, a bell, and an eight-bit control sequence.
CONTROLS = "\x1b[31mred\x1b]0;title\x07\x9b1m\x7f\r"


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tabs and newlines remain; a model's text could control the terminal otherwise."""
    monkeypatch.setattr(sys, "stdout", Screen())
    say(f"{CONTROLS}\ta\n")
    assert sys.stdout.getvalue() == "�[31mred�]0;title��1m��\ta\n"  # type: ignore[attr-defined]


def test_a_terminals_table_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text may come from a model's file."""
    monkeypatch.setattr(sys, "stdout", Screen())
    show_table([("architecture", CONTROLS)])
    assert "\x1b" not in sys.stdout.getvalue()  # type: ignore[attr-defined]


def test_a_pipe_gets_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe gets the text unchanged."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    say(CONTROLS)
    assert sys.stdout.getvalue() == CONTROLS  # type: ignore[attr-defined]


def test_waiting_is_shown_to_a_person_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress goes to stderr; a log file gets none."""
    monkeypatch.setenv("TERM", "xterm")
    for stream, shown in ((Screen(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with waiting("Loading [m].rkllm"):
            pass
        assert ("Loading [m].rkllm" in stream.getvalue()) == shown


def test_a_table_in_a_pipe_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has no colours either."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    console().print("[bold]" + "word " * 30)
    assert stream.getvalue() == "word " * 30 + "\n"
