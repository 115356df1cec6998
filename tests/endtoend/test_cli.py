"""The ``rkllm`` command, as a person or a script meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, environment

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

HELLO = 'run\ntoken "Hello"\ntoken ", "\ntoken "world"\nfinish\n'


def rkllm(*words: str, daemon: Daemon | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    path = {"RKLLM_UDS_PATH": str(daemon.path)} if daemon else {}
    return subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.cli", *words],
        env={**environment(), **path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_run_prints_the_answer(start: Start, script: Script) -> None:
    """Nothing but the answer on stdout."""
    daemon = start()
    daemon.load(script(HELLO))
    done = rkllm("run", "hi", daemon=daemon)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello, world\n", "")


def test_run_loads_a_model_first_when_one_is_given(
    start: Start, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is the caller's, not the daemon's."""
    daemon, model = start(), script(HELLO)
    monkeypatch.chdir(model.parent)
    assert rkllm("run", "--model", model.name, "hi", daemon=daemon).stdout == "Hello, world\n"


def test_run_prints_tokens_as_they_come(start: Start, script: Script, tmp_path: Path) -> None:
    """The first is there before the run goes on."""
    daemon, gate = start(), tmp_path / "gate"
    daemon.load(script(f'run\ntoken "first"\nwait "{gate}"\ntoken " second"\nfinish\n'))
    command = [sys.executable, "-m", "rkllm_twisted.cli", "run", f"--socket={daemon.path}", "hi"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"first"
        gate.touch()
        assert process.stdout.read() == b" second\n"


def test_a_reader_that_goes_away_is_no_error_message(start: Start, script: Script) -> None:
    """Such as `rkllm run … | head -c 1`."""
    daemon = start()
    daemon.load(script('run\ndelay 1\nrepeat 500 token "x"\nfinish\n'))
    command = [sys.executable, "-m", "rkllm_twisted.cli", "run", f"--socket={daemon.path}", "hi"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_without_a_daemon_it_says_so_with_an_exit_code_of_its_own(tmp_path: Path) -> None:
    """One sentence, which names the socket and what starts a daemon."""
    done = rkllm("run", f"--socket={tmp_path / 'none'}", "hi")
    assert done.returncode == 3
    assert str(tmp_path / "none") in done.stderr
    assert "twistd -n rkllm" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_model_it_says_what_to_give(start: Start) -> None:
    """One sentence."""
    done = rkllm("run", "hi", daemon=start())
    assert done.returncode == 4
    assert "rkllm init" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_model_is_named(start: Start) -> None:
    """As the daemon sees it."""
    done = rkllm("run", "--model", "/nowhere/m.gguf", "hi", daemon=start())
    assert done.returncode == 1
    assert "/nowhere/m.gguf" in done.stderr


def test_a_run_that_fails_is_an_error(start: Start, script: Script) -> None:
    """What had come is printed; the exit code says the rest."""
    daemon = start()
    daemon.load(script('run\ntoken "so far"\nerror\n'))
    done = rkllm("run", "hi", daemon=daemon)
    assert done.returncode == 1
    assert done.stdout == "so far\n"
    assert "error" in done.stderr


def test_call_prints_a_result_as_a_line_of_json(start: Start) -> None:
    """For jq and friends."""
    daemon = start()
    assert rkllm("call", "server.ping", daemon=daemon).stdout == '"pong"\n'
    done = rkllm("call", "server.configure", '{"floats": "base64"}', daemon=daemon)
    assert json.loads(done.stdout)["floats"] == "base64"


def test_call_prints_a_stream_line_by_line(start: Start, script: Script) -> None:
    """One result each."""
    daemon = start()
    daemon.load(script(HELLO))
    done = rkllm("call", "rkllm.run_async", '[{"prompt_input": "hi"}]', daemon=daemon)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()][:3] == [
        "Hello",
        ", ",
        "world",
    ]


def test_an_error_of_the_daemon_has_its_code(start: Start) -> None:
    """On stderr, and nothing on stdout."""
    done = rkllm("call", "no.such.method", daemon=start())
    assert (done.returncode, done.stdout) == (1, "")
    assert "-32601" in done.stderr
    assert "no.such.method" in done.stderr


@pytest.mark.parametrize("text", ["{", "5", '"text"'])
def test_parameters_that_are_not_json_are_refused_before_anything_is_sent(text: str) -> None:
    """As a wrong use of the command."""
    done = rkllm("call", "server.ping", text)
    assert done.returncode == 2
    assert "JSON" in done.stderr


def test_demo_model_prints_a_path_that_is_there() -> None:
    """For `--model $(rkllm demo-model)`."""
    assert Path(rkllm("demo-model").stdout.strip()).is_file()


def test_the_demo_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its daemon has ended and its socket is gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = rkllm("demo", "--prompt", "What is a list?")
    assert done.returncode == 0, done.stderr
    assert "time to first token" in done.stdout
    assert list(tmp_path.iterdir()) == []
