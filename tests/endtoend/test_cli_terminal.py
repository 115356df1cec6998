"""The ``rkllm`` command on a terminal: its output, its input, and its interrupts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon
from pseudo_terminal import terminal

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
ECHO = "run\necho\n"
#: Ctrl-C, Ctrl-D, Alt-Enter and the up arrow, as a terminal sends them.
CTRL_C, CTRL_D, ALT_ENTER, UP = "\x03", "\x04", "\x1b\r", "\x1b[A"


def test_a_chat_answers_and_ends(start: Start, script: Script, tmp_path: Path) -> None:
    """A question may have several lines; the first one follows the system prompt."""
    daemon = start()
    daemon.load(script(ECHO))
    with terminal("chat", "--system", "Be kind.", daemon=daemon, state=tmp_path) as child:
        child.expect("/help lists the commands")
        child.expect("^>")
        child.send("hello\r")
        child.expect("Be kind.\r\n\r\nhello\r\n")
        child.expect("^>")
        child.send(f"one{ALT_ENTER}two\\\rthree\r")
        child.expect("one\r\ntwo\r\nthree\r\n")
        child.expect("^>")
        child.send("/quit\r")
        assert child.end() == 0


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """At the prompt, Ctrl-C discards the input; Ctrl-D leaves the chat."""
    daemon = start()
    daemon.load(
        script(
            'run when "short"\ntoken "fine"\nfinish\n'
            'run\ntoken "going "\nhang until abort\nfinish\n'
        )
    )
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("long\r")
        child.expect("going ")
        child.send(CTRL_C)
        child.expect("^>")
        child.send("dropped")
        child.expect("dropped")
        child.send(CTRL_C)
        child.expect("^>")
        child.send("short\r")
        child.expect("fine\r\n")
        child.expect("^>")
        child.send(CTRL_D)
        assert child.end() == 0
        assert "Traceback" not in child.raw


def test_a_chats_commands(start: Start, script: Script, tmp_path: Path) -> None:
    """The commands are /help, /perf, /save and /clear; an unknown one is reported."""
    daemon, saved = start(), tmp_path / "saved.md"
    daemon.load(script(ECHO))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("/perf\r")
        child.expect("There are no figures")
        child.send("hello\r")
        child.expect("hello\r\nhello\r\n|hello\r\n")
        child.send("/perf\r")
        child.expect(r"answer: 1 tokens in \d+ ms")
        child.send("/help\r")
        child.expect("/clear       starts a new conversation")
        child.send("/nope\r")
        child.expect("There is no command /nope")
        child.send("/save\r")
        child.expect("Give the name of a file")
        child.send("/save /nowhere/x\r")
        child.expect("rkllm: .*/nowhere/x: No such file or directory")
        child.send(f"/save {saved}\r")
        child.expect("Saved 2 turns")
        child.send("/clear\r")
        child.expect("A new conversation starts")
        child.send(f"/save {saved}\r")
        child.expect("is empty, so nothing was saved")
        child.send(CTRL_D)
        assert child.end() == 0
    assert saved.read_text() == "**user:** hello\n\n**assistant:** hello\n"


def test_what_was_typed_is_there_in_the_next_chat(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """Other users cannot read the file."""
    daemon = start()
    daemon.load(script(ECHO))
    for keys in ("remember me\r", f"{UP}\r"):
        with terminal("chat", daemon=daemon, state=tmp_path) as child:
            child.expect("^>")
            child.send(keys)
            child.expect("remember me\r\n")
            child.expect("^>")
            child.send(CTRL_D)
            assert child.end() == 0
    history = tmp_path / "rkllm" / "history"
    assert "remember me" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
    assert history.parent.stat().st_mode & 0o077 == 0


def test_a_chat_goes_on_after_a_refusal(start: Start, script: Script, tmp_path: Path) -> None:
    """A crash ends the answer, and the error says so."""
    daemon = start()
    daemon.load(script('run when "die"\nsegv\nrun\necho\n'))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("die\r")
        child.expect(r"rkllm: .*SIGSEGV.*-32004")
        child.expect("^>")
        child.send("hello\r")
        child.expect("No model is loaded, because .*SIGSEGV; load one with `rkllm init PATH`")
        child.send(CTRL_D)
        assert child.end() == 0


def test_a_chat_on_a_release_that_keeps_no_history(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The model reads the whole conversation with each question."""
    daemon = start("--abi=1.1.4")
    daemon.load(script(ECHO))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("hello\r")
        child.expect("hello\r\n")
        child.expect("^>")
        child.send("again\r")
        child.expect("User: hello\r\n")
        child.expect("^>")
        child.send(CTRL_D)
        assert child.end() == 0


def test_a_state_directory_that_cannot_be_is_no_reason_not_to_chat(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The chat warns that its input is not kept."""
    (tmp_path / "file").touch()
    daemon = start()
    daemon.load(script(ECHO))
    with terminal("chat", daemon=daemon, state=tmp_path / "file") as child:
        child.expect("Your input will not be kept")
        child.expect("^>")
        child.send(CTRL_D)
        assert child.end() == 0


def test_a_live_view_shows_the_state_as_it_changes(start: Start, script: Script) -> None:
    """The view is redrawn in place until Ctrl-C."""
    daemon = start()
    with terminal("status", "--watch", "--interval=0.1", daemon=daemon) as child:
        child.expect("state.*empty")
        daemon.load(script(ECHO))
        child.expect("state.*loaded")
        child.send(CTRL_C)
        assert child.end() == 130
        assert "\x1b[1A" in child.raw  # the cursor moves up to redraw the view


def test_loading_shows_that_it_goes_on(start: Start, script: Script) -> None:
    """The elapsed time is shown, and removed when the load ends."""
    daemon, model = start(), script("init delay 400\nrun\necho\n")
    with terminal("init", str(model), daemon=daemon) as child:
        child.expect("Loading model.script")
        child.expect(r"0:00:0\d")
        child.expect("Loaded .*model.script in")
        assert child.end() == 0


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_long_wait_for_the_first_token_is_shown(
    start: Start, script: Script, tmp_path: Path, command: str
) -> None:
    """The elapsed time is shown, and removed at the first token."""
    daemon, gate = start(), tmp_path / "gate"
    daemon.load(script(f'run\nwait "{gate}"\ntoken "at last"\nfinish\n'))
    words = ["run", "hi"] if command == "run" else ["chat"]
    with terminal(*words, daemon=daemon, state=tmp_path) as child:
        if command == "chat":
            child.expect("^>")
            child.send("hi\r")
        child.expect("Waiting for the model")
        child.expect(r"0:00:0[1-9]")
        gate.touch()
        child.expect("at last\r\n")
        child.expect_cursor()


def test_ctrl_c_in_a_long_wait_stops_the_answer_and_not_the_chat(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The cursor is visible again, and the model stays loaded."""
    daemon = start()
    daemon.load(script('run when "long"\nhang until abort\nfinish\nrun\necho\n'))
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("^>")
        child.send("long\r")
        child.expect("Waiting for the model")
        child.send(CTRL_C)
        child.expect("^>")
        child.expect_cursor()
        child.send("short\r")
        child.expect(r"short\s+short\s")
        child.send(CTRL_D)
        assert child.end() == 0
        assert "Traceback" not in child.raw


def test_control_characters_of_a_model_do_not_reach_a_terminal(
    start: Start, script: Script
) -> None:
    """They could change the terminal's title or type into it."""
    daemon = start()
    daemon.load(script('run\ntoken "\\x1b]0;mine\\x07 a\\tb\\n\\xc2\\x9b31m"\nfinish\n'))
    with terminal("run", "hi", daemon=daemon) as child:
        child.expect("�]0;mine� a\tb\r\n�31m\r\n")
        assert child.end() == 0


def test_without_a_prompt_a_person_is_asked_for_one(start: Start) -> None:
    """The command asks for a prompt and exits instead of waiting for input."""
    with terminal("run", daemon=start()) as child:
        child.expect("rkllm: Give a prompt, as an argument")
        assert child.end() == 2


@pytest.mark.parametrize("name", ["init", "run"])
def test_ctrl_c_while_a_model_loads(start: Start, script: Script, name: str) -> None:
    """The exit code is 130, and the cursor is visible again."""
    daemon, model = start(), script("init delay 3000\nrun\necho\n")
    words = ["init", str(model)] if name == "init" else ["run", "--model", str(model), "hi"]
    with terminal(*words, daemon=daemon) as child:
        child.expect("Loading model.script")
        child.send(CTRL_C)
        assert child.end() == 130
        child.expect_cursor()
        assert "Traceback" not in child.raw


def test_what_is_typed_during_an_answer_is_not_mixed_into_it(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """It is the beginning of the next question."""
    daemon = start()
    script_text = 'run when "typed"\necho\nrun\ntoken "going "\nhang until abort\nfinish\n'
    daemon.load(script(script_text))
    with terminal("chat", daemon=daemon, state=tmp_path) as child, daemon.connect() as other:
        child.expect("^>")
        child.send("long\r")
        child.expect("going ")
        child.send("typed meanwhile")
        other.ask("rkllm.abort")
        child.expect("^>")
        child.expect("typed meanwhile")
        child.send("\r")
        child.expect("^typed meanwhile\r\n")
        child.expect("^>")
        child.send(CTRL_D)
        assert child.end() == 0
        assert "going typed" not in child.raw
