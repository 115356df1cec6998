"""The ``rkllm`` command on bad days: one sentence, the right exit code, and no hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from daemons import Daemon, RawClient
from many_clients import status_of, wait_until
from other_users import SOMEBODY, acting_as, needs_root, open_directory
from pseudo_terminal import terminal
from rkllm_command import RKLLM, begin, is_one_sentence, rkllm, surroundings

from rkllm_twisted.cli import main
from rkllm_twisted.cli.doctor import ask_daemon

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
#: Every command that connects to the daemon, with valid arguments.
TALKING = [
    ["run", "hi"],
    ["run", "--json", "hi"],
    ["init", "/m.gguf"],
    ["destroy"],
    ["abort"],
    ["status"],
    ["status", "--watch"],
    ["call", "server.ping"],
    ["methods"],
    ["bench"],
]
QUESTION = {"prompt_input": "hold"}
HELD = 'run\ntoken "first"\nwait "{}"\nfinish\n'


def name_of(words: list[str]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("words", TALKING, ids=name_of)
def test_no_daemon(tmp_path: Path, words: list[str]) -> None:
    """The exit code is 3; the error says how to start a daemon."""
    done = CliRunner().invoke(main, [*words, f"--socket={tmp_path / 'none'}"])
    assert done.exit_code == 3
    assert is_one_sentence(done.stderr)
    assert f"twistd -n rkllm --socket {tmp_path / 'none'}" in done.stderr


def test_a_socket_that_a_killed_daemon_left(start: Start) -> None:
    """The exit code is 3; the error says that the daemon was killed."""
    daemon = start()
    daemon.stop(signal.SIGKILL)
    done = rkllm("run", "hi", daemon=daemon)
    assert done.returncode == 3
    assert is_one_sentence(done.stderr)
    assert "killed" in done.stderr


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    """The exit code is 3; the error says that the file is no socket."""
    (tmp_path / "file").touch()
    done = rkllm("run", f"--socket={tmp_path / 'file'}", "hi")
    assert done.returncode == 3
    assert is_one_sentence(done.stderr)
    assert "not a socket" in done.stderr


@pytest.fixture
def crossing() -> Iterator[Path]:
    """Make a directory that every user may enter, until its daemon has ended."""
    with open_directory() as path:
        yield path


def as_somebody(words: list[str], daemon: Daemon) -> Result:
    """Run a command as a user without rights; such a user may be unable to read Python's files."""
    CliRunner().invoke(main, [*words, "--socket=/nowhere"])  # imports all modules beforehand
    with acting_as(SOMEBODY):
        return CliRunner().invoke(main, [*words, f"--socket={daemon.path}"])


@needs_root
def test_a_socket_that_lets_others_in_only(crossing: Path, start: Start) -> None:
    """The exit code is 9 for every command; the error names the option."""
    daemon = start(directory=crossing)
    for words in TALKING:
        done = as_somebody(words, daemon)
        assert done.exit_code == 9, words
        assert is_one_sentence(done.stderr)
        assert "--mode" in done.stderr


@needs_root
def test_doctor_says_which_option_lets_one_in(crossing: Path, start: Start) -> None:
    """The finding's remedy names the option."""
    daemon = start(directory=crossing)
    with acting_as(SOMEBODY):
        found = ask_daemon(str(daemon.path))
    assert found.remedy is not None
    assert "--mode 0660 --group" in found.remedy


@needs_root
def test_a_method_that_is_for_others_only(crossing: Path, start: Start) -> None:
    """The exit code is 9; the error is the daemon's."""
    daemon = start("--mode=0666", f"--admin-uid={os.getuid()}", directory=crossing)
    done = as_somebody(["destroy"], daemon)
    assert done.exit_code == 9
    assert is_one_sentence(done.stderr)
    assert "-32005" in done.stderr


def test_no_model(start: Start) -> None:
    """The exit code is 4; the error says how to load a model."""
    daemon = start()
    for words in (["run", "hi"], ["run", "--json", "hi"], ["bench"], ["abort"]):
        done = CliRunner().invoke(main, [*words, f"--socket={daemon.path}"])
        assert done.exit_code == 4, words
        assert is_one_sentence(done.stderr)
        assert "rkllm init" in done.stderr


def test_a_runtime_that_crashes_in_a_run(start: Start, script: Script) -> None:
    """The exit code is 7; earlier text is printed."""
    daemon = start()
    daemon.load(script('run\ntoken "so far"\nsegv\n'))
    done = rkllm("run", "hi", daemon=daemon)
    assert (done.returncode, done.stdout) == (7, "so far\n")
    assert is_one_sentence(done.stderr)
    assert "SIGSEGV" in done.stderr


def test_a_runtime_that_crashes_while_it_loads(start: Start, script: Script) -> None:
    """The exit code is 7."""
    done = rkllm("init", str(script("init segv\nrun\nfinish\n")), daemon=start())
    assert done.returncode == 7
    assert is_one_sentence(done.stderr)


def test_a_runtime_that_refuses_a_model(start: Start, script: Script) -> None:
    """The exit code is 1."""
    done = rkllm("init", str(script('init fail "no memory"\nrun\nfinish\n')), daemon=start())
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert "-32000" in done.stderr


def test_a_runtime_that_hangs(start: Start, script: Script) -> None:
    """The exit code is 6, by the daemon's limit."""
    daemon = start("--token-timeout=0.5")
    daemon.load(script('run\ntoken "so far"\nhang\n'))
    done = rkllm("run", "hi", daemon=daemon)
    assert (done.returncode, done.stdout) == (6, "so far\n")
    assert is_one_sentence(done.stderr)


def test_an_answer_that_does_not_come_in_the_clients_time(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The exit code is 6, by the client's limit; the run is cancelled."""
    daemon = start()
    daemon.load(script(HELD.format(tmp_path / "never")))
    done = rkllm("run", "--timeout", "0.3", "hi", daemon=daemon)
    assert (done.returncode, done.stdout) == (6, "first\n")
    assert is_one_sentence(done.stderr)
    assert_idle(daemon)


def test_a_full_queue(start: Start, script: Script, tmp_path: Path) -> None:
    """The exit code is 5."""
    daemon, gate = start("--queue=1"), tmp_path / "gate"
    daemon.load(script(HELD.format(gate)))
    with begin("run", "one", daemon=daemon) as first, daemon.connect() as watcher:
        assert first.stdout is not None
        assert first.stdout.read(5) == "first"
        with begin("run", "two", daemon=daemon) as second:
            await_queue(watcher, 1)
            done = rkllm("run", "three", daemon=daemon)
            assert done.returncode == 5
            assert is_one_sentence(done.stderr)
            assert "-32002" in done.stderr
            gate.touch()
            assert (first.wait(30), second.wait(30)) == (0, 0)


def test_a_connection_that_is_lost_in_the_middle_of_an_answer(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The exit code is 8; earlier text is printed."""
    daemon = start()
    daemon.load(script(HELD.format(tmp_path / "never")))
    with begin("run", "hi", daemon=daemon) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == "first"
        daemon.stop(signal.SIGKILL)
        assert process.wait(30) == 8
        assert process.stdout.read() == "\n"
        assert is_one_sentence(process.stderr.read())


def test_a_watched_daemon_that_goes(start: Start) -> None:
    """The exit code is 8."""
    daemon = start()
    with begin("status", "--watch", "--interval=0.1", daemon=daemon) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        daemon.stop(signal.SIGTERM)
        assert process.wait(30) == 8
        assert is_one_sentence(process.stderr.read())


def test_a_daemon_that_stops_while_one_waits(start: Start, script: Script, tmp_path: Path) -> None:
    """The queued command ends with exit code 10; the current answer continues to its end."""
    daemon, gate = start(), tmp_path / "gate"
    daemon.load(script(HELD.format(gate)))
    with begin("run", "one", daemon=daemon) as first, daemon.connect() as watcher:
        assert first.stdout is not None
        assert first.stdout.read(5) == "first"
        with begin("run", "two", daemon=daemon) as second:
            await_queue(watcher, 1)
            daemon.process.send_signal(signal.SIGTERM)
            assert second.wait(30) == 10
            assert second.stderr is not None
            assert is_one_sentence(second.stderr.read())
            gate.touch()
            assert first.wait(30) == 0


def test_ctrl_c_stops_the_run_and_says_nothing(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The exit code is 130, and the NPU is free again."""
    daemon = start()
    daemon.load(script(HELD.format(tmp_path / "never")))
    with begin("run", "hi", daemon=daemon) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == "first"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""
    assert_idle(daemon)


def test_a_plot_that_cannot_be_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's type, its directory or pygal is wrong; the command does not look for a daemon."""
    wrong = {"p.png": "SVG", "none/p.svg": "no directory"}
    for name, words in wrong.items():
        done = CliRunner().invoke(main, ["bench", f"--plot={tmp_path / name}"])
        assert (done.exit_code, words in done.stderr) == (2, True)
    monkeypatch.setitem(sys.modules, "pygal", None)
    done = CliRunner().invoke(main, ["bench", f"--plot={tmp_path / 'p.svg'}"])
    assert done.exit_code == 1
    assert is_one_sentence(done.stderr)
    assert "pip install 'rkllm-twisted[plot]'" in done.stderr


def test_a_chat_without_a_daemon_does_not_begin(start: Start, tmp_path: Path) -> None:
    """The exit code is 3; the error says how to start a daemon."""
    daemon = start()
    daemon.stop()
    with terminal("chat", daemon=daemon, state=tmp_path) as child:
        child.expect("rkllm: No daemon listens at .*; start one")
        assert child.end() == 3


def test_a_chat_goes_on_after_a_full_queue(start: Start, script: Script, tmp_path: Path) -> None:
    """The question is refused at once; the same question succeeds later."""
    daemon, gate = start("--queue=1"), tmp_path / "gate"
    daemon.load(script(f'run when "hold"\nwait "{gate}"\nfinish\nrun\necho\n'))
    hold = {"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": {"rkllm_input": QUESTION}}
    with (
        terminal("chat", daemon=daemon, state=tmp_path) as child,
        daemon.connect() as one,
        daemon.connect() as other,
        daemon.connect() as watcher,
    ):
        child.expect("^>")
        one.send(hold)
        await_state(watcher, "running")
        other.send(hold)
        await_queue(watcher, 1)
        child.send("hello\r")
        child.expect("rkllm: .*-32002")
        gate.touch()
        await_state(watcher, "loaded")
        child.expect("^>")
        child.send("again\r")
        child.expect(r"again\s+again\s")
        child.send("\x04")
        assert child.end() == 0


@pytest.fixture
def loading(start: Start, script: Script, tmp_path: Path) -> tuple[Daemon, Path, Path]:
    """Start a daemon and load a model that waits for a file."""
    gate = tmp_path / "gate"
    return start(), script(f'init wait "{gate}"\nrun\nfinish\n'), gate


def test_ctrl_c_says_that_a_load_goes_on(loading: tuple[Daemon, Path, Path]) -> None:
    """The exit code is 130; the message names `rkllm destroy`, which unloads the model."""
    daemon, model, gate = loading
    with begin("init", str(model), daemon=daemon) as process, daemon.connect() as watcher:
        await_state(watcher, "loading")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        said = process.stderr.read()
        assert is_one_sentence(said)
        assert f"continues to load {model.name}" in said
        assert "`rkllm destroy` unloads it" in said
        with begin("destroy", daemon=daemon) as undoing:
            gate.touch()
            assert undoing.wait(30) == 0
        await_state(watcher, "empty")


def test_a_load_that_takes_longer_than_one_waits_goes_on(
    loading: tuple[Daemon, Path, Path],
) -> None:
    """The exit code is 6; the message says that the load continues, and it does."""
    daemon, model, gate = loading
    done = rkllm("init", "--timeout=0.5", str(model), daemon=daemon)
    assert done.returncode == 6
    assert is_one_sentence(done.stderr)
    assert "continues to load" in done.stderr
    gate.touch()
    with daemon.connect() as watcher:
        await_state(watcher, "loaded")


def test_ctrl_c_drops_a_load_that_waits_for_its_turn(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The exit code is 130 without a message: no load continues, and the earlier model stays."""
    daemon, gate = start(), tmp_path / "gate"
    first = script(HELD.format(gate)).rename(tmp_path / "first.script")
    second = script("run\nfinish\n")
    daemon.load(first)
    with begin("run", "hi", daemon=daemon) as run, daemon.connect() as watcher:
        await_state(watcher, "running")
        with begin("init", str(second), daemon=daemon) as process:
            await_queue(watcher, 1)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert process.stderr is not None
            assert process.stderr.read() == ""
        gate.touch()
        assert run.wait(30) == 0
        assert watcher.ask("server.status")["result"]["model_path"] == str(first)


def test_a_disk_that_is_full(start: Start, script: Script) -> None:
    """The exit code is 1, with one sentence."""
    daemon = start()
    daemon.load(script('run\ntoken "x"\nfinish\n'))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*RKLLM, "run", "hi"],
            env=surroundings(daemon),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert "No space left" in done.stderr


@pytest.mark.parametrize("stream", ["<", ">", "2>"])
def test_a_stream_that_is_closed(start: Start, stream: str) -> None:
    """A closed stream counts as /dev/null: cron and daemons start programs with such streams."""
    daemon = start()
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {stream}&-', "-", *RKLLM, "status"],
        env=surroundings(daemon),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("state" in done.stdout) == (stream != ">")


def await_queue(watcher: RawClient, length: int) -> None:
    """Wait until the NPU's queue has this many calls."""
    wait_until(lambda: status_of(watcher)["queue_length"] == length)


def await_state(watcher: RawClient, state: str) -> None:
    """Wait until the NPU has this state."""
    wait_until(lambda: status_of(watcher)["state"] == state)


def assert_idle(daemon: Daemon) -> None:
    """Check that the NPU becomes idle."""
    with daemon.connect() as client:
        wait_until(lambda: not client.ask("rkllm.is_running")["result"]["is_running"])
