"""The examples of docs/testing.md work as described."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from daemons import environment
from endtoend.test_docs import blocks
from raw_clients import fake_process

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import Busy, RuntimeCrashed

CONFTEST, BLOCKING, PLAIN, TWISTED, ANSWERS, CHAT, METHOD = blocks("docs/testing.md", "python")
(SCRIPT,) = blocks("docs/testing.md", "json")
(COMMAND,) = blocks("docs/testing.md", "sh")


def run(directory: Path, *command: str) -> str:
    """Run a command of this Python; return its output."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixtures_serve_a_blocking_program(tmp_path: Path) -> None:
    """The test runs a third party's test suite in its own directory."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text(BLOCKING)
    assert "1 passed" in run(tmp_path, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider")


def test_a_method_is_called_without_being_installed(tmp_path: Path) -> None:
    """A new test module calls it."""
    (tmp_path / "test_mine.py").write_text(METHOD)
    assert "1 passed" in run(tmp_path, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider")


def test_a_trial_test_runs_in_memory(tmp_path: Path) -> None:
    """The test needs no reactor."""
    (tmp_path / "test_mine.py").write_text(TWISTED)
    said = run(tmp_path, "-m", "twisted.trial", "--temp-directory", "_t", "test_mine")
    assert "successes=1" in said


@pytest.mark.parametrize("example", [PLAIN, ANSWERS, CHAT], ids=["plain", "answers", "chat"])
def test_an_example_runs(tmp_path: Path, example: str) -> None:
    """The example exits with success."""
    run(tmp_path, "-c", example)


def test_the_script_plays(tmp_path: Path) -> None:
    """The page's command starts it."""
    (tmp_path / "answers.json").write_text(SCRIPT)
    _, _, module, *options = COMMAND.split()
    assert module == "rkllm_twisted.testing"
    socket = str(tmp_path / "fake.sock")
    options = [
        option.replace("/tmp/fake.sock", socket).replace("answers", f"{tmp_path}/answers")
        for option in options
    ]
    with fake_process(*options) as (running, path), Client(path) as client:
        assert path == socket

        def ask(prompt: str) -> object:
            return client.call("rkllm.run", [{"prompt_input": prompt}])["text"]

        assert ask("Hello") == "Hi there"
        assert ask("some rain") == "It rains."
        assert ask("what") == "I do not know."
        assert ask("results") == "aé"
        with pytest.raises(Busy):
            ask("in turn")
        assert ask("in turn") == "Now."
        with pytest.raises(RuntimeCrashed):
            ask("crash")
        with pytest.raises(RuntimeCrashed):
            client.call("rkllm.init", [{"model_path": "m"}])
        client.call("rkllm.init", [{"model_path": "m"}])
        assert client.call("server.version")["runtime"]["version"] == "1.2.3"
        assert running.stdout is not None
        printed = iter(lambda: json.loads(running.stdout.readline()), None)
        assert [{"prompt_input": "Hello"}] in (call["params"] for call in printed)
