"""The recipe without a router: haproxy over daemons' sockets, with the configuration in etc/."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import socket as sockets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rkllm_twisted.blocking import Client

CONFIGURATION = Path(__file__).parents[2] / "etc" / "haproxy-fleet.cfg"
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

START_S = 10.0
#: Seconds in which haproxy finds out how a board is.
MAX_FINDING_S = 30.0

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


class Recipe:
    """A haproxy in front of three daemons.

    :param directory: for its sockets and its configuration.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "haproxy.sock"
        self.about = directory / "about.sock"
        self.daemons: list[Any] = []

    def states(self) -> dict[str, str]:
        """Return what haproxy finds of each board."""
        with sockets.socket(sockets.AF_UNIX) as client:
            client.connect(str(self.about))
            client.sendall(b"show stat\n")
            lines = client.makefile().read().splitlines()
        rows = csv.DictReader(line.lstrip("# ") for line in lines if line)
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == "boards"}

    def await_state(self, board: str, state: str) -> None:
        """Wait until haproxy finds a board in a state."""
        deadline = time.monotonic() + MAX_FINDING_S
        while self.states()[board] != state:
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.2)  # haproxy looks every two seconds


@pytest.fixture
def recipe(
    tmp_path: Path, start: Callable[..., Any], script: Callable[[str], Path]
) -> Iterator[Recipe]:
    """The configuration as it is shown, with other addresses, and a socket to look into."""
    recipe = Recipe(tmp_path)
    model = script('run\nsleep 100\ntoken "yes"\nfinish\n')
    text = CONFIGURATION.read_text()
    for number in (1, 2, 3):
        folder = tmp_path / f"b{number}"
        folder.mkdir()
        daemon = start(directory=folder)
        daemon.load(model)
        recipe.daemons.append(daemon)
        text = text.replace(f"b{number}.lan:9200", f"unix@{daemon.path}")
    text = text.replace("/run/rkllm-fleet.sock", str(recipe.socket))
    text = text.replace("maxconn 1000\n", f"maxconn 1000\n    stats socket {recipe.about}\n")
    (tmp_path / "haproxy.cfg").write_text(text)
    assert ".lan" not in re.sub("#.*", "", text)
    process = subprocess.Popen([str(HAPROXY), "-db", "-f", str(tmp_path / "haproxy.cfg")])
    try:
        _await_listener(recipe.socket, process)
        yield recipe
    finally:
        process.terminate()
        process.wait()


def _await_listener(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until haproxy takes connections; nothing but the socket says so."""
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, "haproxy has ended"
        try:
            with sockets.socket(sockets.AF_UNIX) as probe:
                probe.connect(str(path))
            return
        except OSError:
            assert time.monotonic() < deadline, "haproxy does not listen"
            time.sleep(0.05)


def test_a_daemon_that_hangs_gets_no_clients_until_it_goes_on(recipe: Recipe) -> None:
    hung = recipe.daemons[0].process
    recipe.await_state("b1", "UP")
    hung.send_signal(signal.SIGSTOP)
    try:
        recipe.await_state("b1", "DOWN")
        with Client(str(recipe.socket), timeout=MAX_FINDING_S) as client:
            assert client.run("go").text == "yes"
    finally:
        hung.send_signal(signal.SIGCONT)
    recipe.await_state("b1", "UP")


def test_nine_clients_at_once_get_their_answers_from_three_boards(recipe: Recipe) -> None:
    answers: list[str] = []

    def ask() -> None:
        with Client(str(recipe.socket)) as client:
            answers.append(client.run("go").text or "")

    clients = [threading.Thread(target=ask) for _ in range(9)]
    for one in clients:
        one.start()
    for one in clients:
        one.join(60)
    assert answers == ["yes"] * 9
