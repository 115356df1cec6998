"""``rkllm demo --fleet``: a router, three boards, a front, and four clients that ask at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import click

from rkllm_twisted.blocking import Client, Unreachable
from rkllm_twisted.cli.fleet_view import HEADING, FleetView
from rkllm_twisted.cli.terminal import show_table
from rkllm_twisted.cpu import CPU, demo_model
from rkllm_twisted.errors import StartupError
from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.router_config import RouterSettings, write
from rkllm_twisted.fleet.values import Role

BOARDS = ("b1", "b2", "b3")
QUESTIONS = ("What is a module?", "What is a list?", "What is a generator?", "What is a class?")
#: The router, which imports much, and everything else must be there within this time.
START_S = 180.0

#: Begins a process that ends with the demonstration.
Enter = Callable[[AbstractContextManager[None]], None]


def serve(crossbar: str | None) -> None:
    """Show a fleet.

    :param crossbar: the path of Crossbar's command; None: it is looked for on the path.
    :raises StartupError: there is no Crossbar, or the extra is not installed.
    """
    program = crossbar or shutil.which("crossbar")
    if program is None:
        raise StartupError(
            "A fleet needs a router: make demo-fleet installs one, or name Crossbar's command with"
            " --crossbar."
        )
    with tempfile.TemporaryDirectory(prefix="rkllm-fleet-") as name, ExitStack() as ends:
        front = start(Path(name), program, ends.enter_context)
        click.echo("Asking    four questions at once\n")
        with ThreadPoolExecutor(len(QUESTIONS)) as pool:
            for question, board, text in pool.map(lambda q: _asked(front, q), QUESTIONS):
                click.echo(f"{board}  {question}\n    {text}")
        click.echo("")
        with Client(front) as client:
            view = FleetView(client.call("server.status")["fleet"], time.monotonic())
        show_table([HEADING, *view.boards()])
        click.echo(view.summary())


def _asked(front: str, question: str) -> tuple[str, str, str]:
    """Ask as a client of its own."""
    with Client(front) as client:
        answer = client.call("rkllm.run", [{"role": "user", "prompt_input": question}])
    return question, answer["board"], answer["text"]


def start(home: Path, program: str, enter: Enter, model: Path | None = None) -> str:
    """Start everything, and wait until all boards are free.

    :param home: a directory for sockets, keys and logs.
    :param program: Crossbar's command.
    :param enter: begins each process.
    :param model: of the boards; the bundled one by default.
    :returns: the path of the front's socket; those of the daemons are beside it.
    """
    router = home / "router.sock"
    write(home / "router", RouterSettings(home / "keys", free_port(), "127.0.0.1", router))
    node = home / "router" / ".crossbar"
    click.echo(f"Starting  {program} start --cbdir {node}")
    enter(_process([program, "start", "--cbdir", str(node)], home / "router.log"))
    model = model or demo_model()
    for board in BOARDS:
        path = str(home / f"{board}.sock")
        options = [f"--library={CPU}", "--history=connection", f"--model={model}"]
        enter(_twistd(home, board, "rkllm", f"--socket={path}", *options, "--model-param=top_k=1"))
        joining = _joining(home, board, Role.BOARD, router)
        enter(_twistd(home, f"{board}-bridge", "rkllm-board", f"--daemon={path}", *joining))
    front = str(home / "front.sock")
    joining = _joining(home, "front", Role.FRONT, router)
    enter(_twistd(home, "front", "rkllm-fleet", f"--socket={front}", *joining))
    _await_boards(home, front)
    return front


def free_port() -> int:
    """Return a port for the router's WebSocket, which nothing here uses."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def _joining(home: Path, name: str, role: Role, router: Path) -> list[str]:
    """Make a key that the router knows; return the options that use it."""
    key = home / f"{name}.key"
    (home / "keys" / role.value / name).write_text(f"{keys.make(key)}\n")
    return [f"--router=unix:{router}", f"--name={name}", f"--key={key}"]


def _await_boards(home: Path, front: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with Client(front) as client:
                fleet = client.call("server.status")["fleet"]
                if fleet["is_reachable"] and fleet["free"] == len(BOARDS):
                    return
        except Unreachable:
            pass  # it starts
        time.sleep(0.1)  # nothing announces the boards but the status
    logs = "\n".join(path.read_text()[-1000:] for path in sorted(home.glob("*.log")))
    raise Unreachable(f"The fleet did not start:\n{logs}")


def _twistd(home: Path, name: str, *words: str) -> AbstractContextManager[None]:
    click.echo(f"Starting  twistd -n {' '.join(words)}")
    run = "from twisted.scripts.twistd import run; run()"
    command = [sys.executable, "-c", run, "--nodaemon", "--pidfile=", *words]
    return _process(command, home / f"{name}.log")


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[None]:
    """Run a program in a group of its own, and end the group at the end of the context."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
