"""``rkllm chat`` on a terminal works for every user and loses neither answers nor input."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon
from inference_rig import furnish
from pseudo_terminal import terminal

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
CTRL_D = "\x04"
ECHO = "run\necho\n"
#: Another user is the administrator.
NOT_ME = f"--admin-uid={os.getuid() + 1}"


@pytest.mark.parametrize("history", ["shared", "connection"])
def test_a_chat_needs_no_right(start: Start, script: Script, tmp_path: Path, history: str) -> None:
    """Another user is the administrator; the history is shared by all clients, or not."""
    daemon = start(NOT_ME, f"--model={script(ECHO)}", f"--history={history}")
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("hello\r")
        child.expect("hello\r\nhello\r\n|hello\r\n")
        child.send("/clear\r")
        child.expect("A new conversation starts")
        child.send(CTRL_D)
        assert child.end() == 0


def test_the_commands_of_a_conversation(start: Start, script: Script, tmp_path: Path) -> None:
    """A question can be asked again, edited, and answered under another system message."""
    daemon = start()
    daemon.load(script(ECHO))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("/retry\r")
        child.expect("no question to ask again")
        child.send("one\r")
        child.expect("one\r\none\r\n|one\r\n")
        child.send("/edit two\r")
        child.expect("two\r\ntwo\r\n|two\r\n")
        child.send("/edit\r")
        child.expect("^> two")
        child.send(" and a half\r")
        child.expect("^two and a half\r\n")
        child.send("/retry\r")
        child.expect("^two and a half\r\n")
        child.send("/system Be kind.\r")
        child.expect("Be kind")
        child.send("/tokens\r")
        child.expect("rkllm: To count tokens, put")
        child.send("/model\r")
        child.expect("without --model-dir")
        child.send("/perf\r")
        child.expect("prompt: [0-9]+ tokens")
        child.send(CTRL_D)
        assert child.end() == 0


def test_a_conversation_goes_on_with_another_model(start: Start, tmp_path: Path) -> None:
    """The models are listed; the tokens are counted by the chosen model's tokenizer."""
    models = tmp_path / "models"
    furnish(models, "runtime", "first").write_text(f"#!rkllm-script 1\n{ECHO}")
    furnish(models, "tokens", "second")
    daemon = start(f"--model-dir={models}")
    daemon.load(models / "first" / "first.script")
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("/model\r")
        child.expect(r"^\* first\s+^  second")
        child.send("/tokens\r")
        child.expect("The conversation is empty")
        child.send("hello\r")
        child.expect("hello\r\nhello\r\n|hello\r\n")
        child.send("/model third\r")
        child.expect("rkllm: There is no model 'third'")
        child.send("/model second\r")
        child.expect("second answers from now on")
        child.send("/tokens\r")
        child.expect("[1-9][0-9]* tokens up to the last question")
        child.send(CTRL_D)
        assert child.end() == 0


def test_a_saved_conversation_is_resumed(start: Start, script: Script, tmp_path: Path) -> None:
    """The model reads all of it before the next question."""
    daemon, saved = start(), tmp_path / "saved.json"
    daemon.load(script(ECHO))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("I am Anna.\r")
        child.expect("Anna.\r\nI am Anna.\r\n|Anna.\r\n")
        child.send(f"/save {saved}\r")
        child.expect("Saved 2 turns")
        child.send(CTRL_D)
        assert child.end() == 0
    daemon.load(script(ECHO))  # the cache is empty
    with terminal("chat", f"--resume={saved}", daemon=daemon, state=tmp_path) as child:
        child.expect("The conversation has 2 turns")
        child.expect("^>")
        child.send("Who am I?\r")
        child.expect("I am Anna.")
        child.send(CTRL_D)
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
        start().load(script(ECHO))
        child.send("again\r")
        child.expect("Connected again")
        child.expect("again\r\n")
        child.send(CTRL_D)
        assert child.end() == 0
