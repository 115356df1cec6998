"""``rkllm chat`` on a terminal works for every user and loses neither answers nor input."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon
from pseudo_terminal import terminal

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
CTRL_D = "\x04"
ECHO = "run\necho\n"
#: Another user is the administrator.
NOT_ME = f"--admin-uid={os.getuid() + 1}"


def test_a_user_who_may_not_clear_is_told_to_continue(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """Only an administrator may clear the shared history; --continue needs no right."""
    daemon = start(NOT_ME)
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("rkllm: All clients share one history.*rkllm chat --continue")
        assert child.end() == 9
    with terminal("chat", "--continue", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("/clear\r")
        child.expect("administrator")
        child.send(CTRL_D)
        assert child.end() == 0


def test_a_history_of_ones_own_needs_no_right_to_clear(start: Start, tmp_path: Path) -> None:
    """The daemon clears the history when another connection has run the model."""
    daemon = start(NOT_ME, "--history=connection")
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("/clear\r")
        child.expect("A new conversation starts")
        child.send("exit\r")
        assert child.end() == 0


@pytest.mark.parametrize("word", ["/bye", "/exit", "exit", "quit"])
def test_the_words_of_other_programs_leave(start: Start, tmp_path: Path, word: str) -> None:
    """Such words are not sent to the model."""
    daemon = start()
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send(f"{word}\r")
        assert child.end() == 0


def test_a_file_is_replaced_only_after_a_yes(start: Start, script: Script, tmp_path: Path) -> None:
    """An empty conversation never replaces a file."""
    daemon, notes = start(), tmp_path / "notes.md"
    daemon.load(script(ECHO))
    notes.write_text("mine")
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send(f"/save {notes}\r")
        child.expect("is empty, so nothing was saved")
        child.send("hello\r")
        child.expect("hello\r\nhello\r\n|hello\r\n")
        child.send(f"/save {notes}\r")
        child.expect("exists. Type yes")
        child.send("no\r")
        child.expect("was not changed")
        assert notes.read_text() == "mine"
        child.send(f"/save {notes}\r")
        child.expect("exists. Type yes")
        child.send("yes\r")
        child.expect("Saved 2 turns")
        child.send(CTRL_D)
        assert child.end() == 0
    assert "hello" in notes.read_text()


def test_a_chat_outlives_its_daemon(start: Start, script: Script, tmp_path: Path) -> None:
    """Otherwise the shell would receive the next input."""
    daemon = start()
    daemon.load(script(ECHO))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        daemon.stop()
        child.send("hello\r")
        child.expect("rkllm: .*(lost|No daemon)")
        child.send("rm -rf important\r")
        child.expect("rkllm: No daemon listens")
        child.send(CTRL_D)
        assert child.end() == 0
