"""Completion in bash and zsh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from daemons import MAX_WAIT_S, Daemon
from rkllm_command import surroundings

Start = Callable[..., Daemon]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Make a PATH with a ``rkllm`` that uses this Python."""
    program = tmp_path / "bin" / "rkllm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rkllm_twisted.cli "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def bash(path: str, line: str, daemon: Daemon | None = None) -> list[str]:
    """Return bash's suggestions for a line; by default, no daemon is running."""
    words = line.split(" ")
    script = (
        'eval "$(rkllm completion bash)"\n'
        "compopt() { :; }\n"  # the real one needs a line that is being edited
        f"COMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
        "_rkllm_completion rkllm\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-ec", script],
        env={"RKLLM_UDS_PATH": "/nowhere/s", **surroundings(daemon), "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands(path: str) -> None:
    """Commands with that beginning are suggested."""
    assert bash(path, "rkllm de") == ["destroy", "demo", "demo-model"]


def test_bash_completes_options(path: str) -> None:
    """The options are those of the command on the line."""
    assert {"--socket", "--keep-history", "--json"} <= set(bash(path, "rkllm run --"))


def test_bash_completes_the_daemons_methods(path: str, start: Start) -> None:
    """The argument of `call` is such a method."""
    assert bash(path, "rkllm call server.st", start()) == ["server.status"]


def test_bash_completes_the_daemons_models(path: str, start: Start, tmp_path: Path) -> None:
    """`models`, `init` and `--model` complete names and aliases."""
    (tmp_path / "models" / "hello").mkdir(parents=True)
    (tmp_path / "models" / "hello" / "m").write_text("#!rkllm-script 1\nrun\nfinish\n")
    (tmp_path / "models" / "hello" / "rkllm.toml").write_text('aliases = ["help"]')
    daemon = start(f"--model-dir={tmp_path}/models")
    assert bash(path, "rkllm models hel", daemon) == ["hello", "help"]
    assert bash(path, "rkllm init hel", daemon) == ["hello", "help"]
    assert bash(path, "rkllm run --model hel", daemon) == ["hello", "help"]


def test_bash_completes_no_method_without_a_daemon(path: str) -> None:
    """Completion prints no error."""
    assert bash(path, "rkllm call server.st") == []


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("dest", "destroy"),
        ("status --wat", "status --watch"),
        ("call server.st", "call server.status"),
    ],
)
def test_zsh_completes_commands_options_and_methods(
    path: str, tmp_path: Path, start: Start, line: str, completed: str
) -> None:
    """The test presses Tab in a session."""
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed, so its completion is not tried")
    own = {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "ready> "}
    env = {**surroundings(start()), **own}
    child = pexpect.spawn(zsh, ["-f", "-i"], env=env, encoding="utf-8", timeout=MAX_WAIT_S)
    try:
        child.expect("ready> ")
        child.sendline("autoload -U compinit && compinit -u -D && echo one-done")
        child.expect("\r\none-done")
        child.sendline('eval "$(rkllm completion zsh)" && echo two-done')
        child.expect("\r\ntwo-done")
        child.expect("ready> ")
        child.send(f"rkllm {line}\t")
        child.expect(f"rkllm {completed} ")
    finally:
        child.close(force=True)
