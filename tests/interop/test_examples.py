"""The clients of examples/ in other languages stream an answer of a real daemon."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import attrs
import pytest
from daemons import MAX_WAIT_S, Daemon, environment

from rkllm_twisted.testing import FakeDaemon

EXAMPLES = Path(__file__).parents[2] / "examples"
Start = Callable[..., Daemon]
#: A run that stops after its first piece until the file ``go`` is there.
GATE = """#!rkllm-script 1
run when "fail"
token "before"
error
run
token "before\\x01\\"\\\\\\n"
wait "{go}"
token "\\xe4\\xbd"
token "\\xa0"
token " after 😀"
finish
"""
#: The text of that run.
BEFORE, AFTER = 'before\x01"\\\n', "你 after 😀\n"


@attrs.frozen
class Example:
    """One client and how to start it.

    :param command: the model and the prompt go behind it.
    :param env: beside that of a daemon.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = {}

    def start(self, socket: Path, model: Path, prompt: str) -> subprocess.Popen[bytes]:
        """Start the client."""
        return subprocess.Popen(
            [*self.command, str(model), prompt],
            env={**environment(), **self.env, "RKLLM_UDS_PATH": str(socket)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, socket: Path, model: Path, prompt: str = "Hi.") -> tuple[int, str, str]:
        """Run it to its end; return the exit code, stdout and stderr."""
        with self.start(socket, model, prompt) as process:
            out, err = process.communicate(timeout=MAX_WAIT_S)
        return process.returncode, out.decode(), err.decode()


def need(program: str, package: str) -> str:
    """The path of a program; the test is skipped if the program is missing."""
    reason = f"{program} ({package}) is not installed, so no client that uses it is tried"
    return shutil.which(program) or pytest.skip(reason)


def in_node(request: pytest.FixtureRequest) -> Example:
    """The Node example with handwritten netstrings."""
    return Example((request.getfixturevalue("node"), str(EXAMPLES / "netstrings.js")))


def in_node_with_a_library(request: pytest.FixtureRequest) -> Example:
    """The Node example with vscode-jsonrpc from npm."""
    modules = request.getfixturevalue("node_modules")
    command = (request.getfixturevalue("node"), str(EXAMPLES / "vscode_jsonrpc.js"))
    return Example(command, {"NODE_PATH": str(modules)})


def in_c(request: pytest.FixtureRequest) -> Example:
    """The C example: warnings are errors, and the sanitizers stop at memory errors."""
    binary = request.getfixturevalue("tmp_path") / "stream"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined"]
    flags.append("-fno-sanitize-recover=all")
    command = [need("cc", "gcc"), *flags, "-o", str(binary), str(EXAMPLES / "stream.c")]
    subprocess.run(command, check=True)
    return Example((str(binary),))


def in_a_shell(via: str, package: str) -> Callable[[pytest.FixtureRequest], Example]:
    """The shell example, with nc or with socat."""

    def make(_: pytest.FixtureRequest) -> Example:
        need("jq", "jq")
        need(via, package)
        return Example((need("bash", "bash"), str(EXAMPLES / "stream.sh")), {"VIA": via})

    return make


CLIENTS = {
    "node": in_node,
    "node, vscode-jsonrpc": in_node_with_a_library,
    "c": in_c,
    "shell, nc": in_a_shell("nc", "netcat-openbsd"),
    "shell, socat": in_a_shell("socat", "socat"),
}


@pytest.fixture(params=CLIENTS)
def example(request: pytest.FixtureRequest) -> Example:
    """Each of the clients."""
    return CLIENTS[request.param](request)


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that lets the run go on."""
    return tmp_path / "go"


@pytest.fixture
def model(tmp_path: Path, go: Path) -> Path:
    """The model of the gated run."""
    path = tmp_path / "model.script"
    path.write_text(GATE.format(go=go))
    return path


def read(pipe: IO[bytes] | None, text: str) -> None:
    """Read as many bytes as expected and compare them."""
    assert pipe is not None
    wanted = text.encode()
    found = b""
    while len(found) < len(wanted) and (more := os.read(pipe.fileno(), len(wanted) - len(found))):
        found += more
    assert found == wanted


def test_the_answer_is_shown_while_it_comes(
    daemon: Daemon, example: Example, model: Path, go: Path
) -> None:
    """The first piece is shown before the second is made; the text arrives unchanged."""
    with example.start(daemon.path, model, 'a "prompt"\n\tin \\ two lines') as process:
        read(process.stdout, BEFORE)
        go.touch()
        read(process.stdout, AFTER)
        assert process.communicate(timeout=MAX_WAIT_S) == (b"", b"")
    assert process.returncode == 0


def test_an_error_is_told_in_its_own_words(daemon: Daemon, example: Example, model: Path) -> None:
    """It prints no tokens and exits with an error."""
    code, out, err = example.run(daemon.path, model.with_name("no such model"))
    assert (code, out) == (1, "")
    assert "no such model" in err


def test_a_run_that_fails_is_a_failure(daemon: Daemon, example: Example, model: Path) -> None:
    """The run ends in state 3 after some text."""
    code, out, err = example.run(daemon.path, model, "fail")
    assert (code, out) == (1, "before")
    assert err.strip() == "The run has failed."


def test_without_a_daemon_it_says_so(tmp_path: Path, example: Example, model: Path) -> None:
    """The message names the socket."""
    code, out, err = example.run(tmp_path / "none.sock", model)
    assert code != 0
    assert out == ""
    assert "none.sock" in err


def test_a_daemon_that_dies_is_noticed(start: Start, example: Example, model: Path) -> None:
    """The daemon dies in the middle of the answer."""
    daemon = start()
    with example.start(daemon.path, model, "Hi.") as process:
        read(process.stdout, BEFORE)
        daemon.stop(signal.SIGKILL)
        _, err = process.communicate(timeout=MAX_WAIT_S)
    assert process.returncode != 0
    assert b"closed the connection" in err or b"hut down" in err


def test_ctrl_c_cancels_the_run(
    daemon: Daemon, request: pytest.FixtureRequest, model: Path
) -> None:
    """The client with a library sends $/cancelRequest; the NPU is free for others."""
    example = in_node_with_a_library(request)
    with example.start(daemon.path, model, "Hi.") as process:
        read(process.stdout, BEFORE)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=MAX_WAIT_S)
    assert process.returncode == 1
    assert b"cancelled" in err


PAGE = EXAMPLES.parent / "docs" / "other-languages.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
#: A program that a block needs -> its package.
NEEDED = {"node": "nodejs", "cc": "gcc", "jq": "jq", "nc": "netcat-openbsd", "socat": "socat"}


@pytest.mark.parametrize("block", BLOCKS[1:], ids=lambda block: block.split()[0])
def test_the_pages_commands_answer(
    daemon: Daemon, tmp_path: Path, request: pytest.FixtureRequest, block: str
) -> None:
    """The commands run unchanged in the checkout, where their packages are installed already."""
    programs = block if "stream.sh" not in block else f"{block} jq nc socat"
    for program, package in NEEDED.items():
        if re.search(rf"\b{program}\b", programs):
            need(program, package)
    env = {**environment(), "RKLLM_UDS_PATH": str(daemon.path)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    if "npm install" in block:
        env["NODE_PATH"] = str(request.getfixturevalue("node_modules"))
    (tmp_path / "examples").symlink_to(EXAMPLES)
    commands = re.sub(r"^(npm|pip) install .*$", "", BLOCKS[0] + block, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.replace("/tmp/rkllm.sock", str(daemon.path))],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 3


def test_a_model_that_is_loaded_is_not_loaded_again(example: Example, tmp_path: Path) -> None:
    """Loading takes minutes on a board and clears every client's history."""
    fake = FakeDaemon(default="Hi there")
    with fake.listening(str(tmp_path / "s.sock")) as path:
        for _ in range(2):
            assert example.run(Path(path), tmp_path / "m.rkllm") == (0, "Hi there\n", "")
    assert [call.method for call in fake.calls].count("rkllm.init") == 1
