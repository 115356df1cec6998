"""The examples in README and docs work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, RawClient, environment, twistd
from layers import FOLDERS

Start = Callable[..., Daemon]
PROJECT = Path(__file__).parents[2]
SOCKET = "/tmp/rkllm.sock"


def blocks(page: str, language: str) -> list[str]:
    """Return the examples of a page in one language."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, (PROJECT / page).read_text(), re.MULTILINE | re.DOTALL)


def run(command: list[str], daemon: Daemon) -> str:
    """Run an example against a daemon and return its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [word.replace(SOCKET, str(daemon.path)) for word in command],
        env={**environment(), "PATH": path, "RKLLM_UDS_PATH": str(daemon.path)},
        cwd=daemon.path.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_first_commands_are_the_makefiles() -> None:
    """The README begins with them; CI runs the second."""
    first, *_ = blocks("README.md", "sh")
    assert first.split("\n")[:2] == ["make demo", "make test"]
    assert "make test" in (PROJECT / ".ci" / "run").read_text()


def test_the_readmes_daemon_is_this_one() -> None:
    """The command is twistd -n rkllm --library cpu."""
    start = blocks("README.md", "sh")[1]
    assert "twistd -n rkllm --library cpu" in start


def test_the_readmes_shell_examples_answer(start: Start) -> None:
    """nc streams an answer, and so does the rkllm command."""
    if shutil.which("nc") is None:
        pytest.skip("nc is not installed (netcat-openbsd), so the README's use of it is not tried")
    daemon = start()
    with_nc, with_rkllm = blocks("README.md", "sh")[2:]
    streamed = run(["bash", "-ec", with_nc], daemon)
    assert '"id":2' in streamed
    assert '"_callback_state":2' in streamed
    said = run(["bash", "-ec", with_rkllm], daemon)
    assert len(said.splitlines()[0].split()) > 3
    assert '"state": "loaded"' in said


@pytest.mark.parametrize("number", [0, 1])
def test_the_readmes_python_examples_answer(start: Start, number: int) -> None:
    """Each example prints a sentence."""
    from rkllm_twisted.cpu import demo_model

    daemon = start()
    daemon.load(demo_model(), top_k=1)
    said = run([sys.executable, "-c", blocks("README.md", "python")[number]], daemon)
    assert len(said.split()) > 3


@pytest.mark.parametrize("number", range(len(blocks("docs/clients.md", "python"))))
def test_the_clients_pages_examples_answer(start: Start, number: int) -> None:
    """Each example prints a sentence; the last one prints an error."""
    from rkllm_twisted.cpu import demo_model

    daemon = start()
    daemon.load(demo_model(), top_k=1)
    said = run([sys.executable, "-c", blocks("docs/clients.md", "python")[number]], daemon)
    assert len(said.split()) > 3
    assert ("no-daemon-here" in said) == (number == len(blocks("docs/clients.md", "python")) - 1)


def test_the_structured_pages_tasks_are_done(start: Start) -> None:
    """An order is read from a mail, and a tool is called; one daemon is enough."""
    from rkllm_twisted.cpu import demo_model

    daemon = start()
    daemon.load(demo_model(), top_k=1)
    order, call = blocks("docs/structured.md", "python")
    count, _, item = run([sys.executable, "-c", order], daemon).partition(" ")
    assert 1 <= int(count) <= 99
    assert len(item.removesuffix("\n")) <= 30
    name, _, arguments = run([sys.executable, "-c", call], daemon).strip().partition(" ")
    assert name == "weather"
    assert {*json.loads(arguments)} == {"place", "days"}


def test_the_asyncio_example_answers(start: Start) -> None:
    """The output includes the speed."""
    from rkllm_twisted.cpu import demo_model

    daemon = start()
    daemon.load(demo_model(), top_k=1)
    example = PROJECT / "examples" / "asyncio_client.py"
    said = run([sys.executable, str(example), "What is a list?"], daemon)
    assert len(said.split()) > 3
    assert "tokens/s, cpu" in said


def test_the_embedding_example_serves(tmp_path: Path) -> None:
    """The service is part of an application file."""
    (tmp_path / "mine.py").write_text(
        blocks("docs/embedding.md", "python")[0].replace(SOCKET, str(tmp_path / "rkllm.sock"))
    )
    process = subprocess.Popen(
        [*twistd(), "--pidfile=", "-ny", "mine.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with await_client(tmp_path / "rkllm.sock", process) as client:
            assert client.ask("server.ping")["result"] == "pong"
    finally:
        process.terminate()
        # After its shutdown, twistd lets the signal end the process.
        assert process.wait(10) in (0, -signal.SIGTERM)
    assert not (tmp_path / "rkllm.sock").exists()


def test_the_example_with_more_endpoints_serves(tmp_path: Path) -> None:
    """The endpoints are the daemon's socket, another UNIX socket, and TCP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = blocks("docs/embedding.md", "python")[1].replace("7777", str(port))
    (tmp_path / "mine.py").write_text(program.replace("/tmp/", f"{tmp_path}/"))
    command = [*twistd(), "--pidfile=", "-ny", "mine.py"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=quiet, stderr=quiet
    ) as process:
        try:
            for path in (tmp_path / "rkllm.sock", tmp_path / "rkllm-team.sock"):
                with await_client(path, process) as client:
                    assert client.ask("server.ping")["result"] == "pong"
            assert stat.S_IMODE((tmp_path / "rkllm-team.sock").stat().st_mode) == 0o660
            with socket.create_connection(("127.0.0.1", port)) as tcp:
                tcp.sendall(b'{"jsonrpc":"2.0","method":"server.ping","id":1}\n')
                assert tcp.makefile().readline() == '{"jsonrpc":"2.0","id":1,"result":"pong"}\n'
        finally:
            process.terminate()
    assert not list(tmp_path.glob("*.sock"))


def await_client(path: Path, process: subprocess.Popen[bytes]) -> RawClient:
    """Connect as soon as a server listens."""
    while process.poll() is None:
        try:
            return RawClient(path)
        except OSError:
            continue
    pytest.fail("the application ended")


def test_every_page_that_is_linked_is_there() -> None:
    """No link between the pages is dead."""
    top = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]
    for page in [*top, *(PROJECT / "docs").glob("**/*.md")]:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_leads_to_every_page() -> None:
    """Pages that exist for the book only are excluded."""
    linked = set(re.findall(r"\]\(docs/([^)#:]+)\)", (PROJECT / "README.md").read_text()))
    docs = PROJECT / "docs"
    pages = {
        str(page.relative_to(docs))
        for part in ("", "guides", "develop")
        for page in (docs / part).glob("*.md")
    }
    assert pages - linked == {"index.md", "changelog.md", "embedded-runtime.md"}


def test_the_paths_that_contributing_names_exist() -> None:
    """The map names existing files."""
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    names = {
        name for name in re.findall(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.\w+))`", text) if "/" in name
    }
    for name in names:
        if not re.search("NAME|PACKAGE|WORD", name):
            places = (PROJECT, PROJECT / "rkllm_twisted")
            assert any((place / name).exists() for place in places), name


def test_the_modules_that_the_pages_name_exist() -> None:
    """The paths start at the top of the repository."""
    for page in (PROJECT / "docs").rglob("*.md"):
        for name in re.findall(
            r"`((?:rkllm_twisted|tests|benchmarks|etc)/[\w./-]+)`", page.read_text()
        ):
            assert (PROJECT / name).exists(), f"{page.name} names {name}"


def test_contributing_explains_every_folder() -> None:
    """The map has each folder and module of the layer table."""
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    for name in {folder.name.split("/")[0] for folder in FOLDERS} - {"__init__"}:
        assert f"`{name}/`" in text or f"`{name}.py`" in text, name


def test_the_targets_that_contributing_names_are_the_makefiles() -> None:
    """Each word after ``make`` is a target."""
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {word for words in re.findall(r"`make ([a-z -]+)", text) for word in words.split()}
    assert {"guards", "release"} <= named <= targets


def test_the_commands_page_works_in_scripts(start: Start) -> None:
    """Each command prints the documented output, and completion works."""
    scripts, completion = blocks("docs/cli.md", "sh")
    said = run(["bash", "-ec", scripts], start())
    assert said.startswith("Loaded ")
    assert '"_callback_state": 2' in said
    assert re.search('^"(module|class)"$', said, re.MULTILINE)
    assert '"cache_sizes": [' in said
    assert '"state": "loaded"' in said
    assert "first token, ms" in said
    completes = f"{completion}\ncomplete -p rkllm"
    assert "_rkllm_completion" in run(["bash", "--norc", "-ec", completes], start())
