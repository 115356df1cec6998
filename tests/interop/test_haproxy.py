"""The recipe without a router: haproxy over daemons' sockets, with the configuration in etc/."""

from __future__ import annotations

import re
import shutil
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

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


@pytest.fixture
def socket(
    tmp_path: Path, start: Callable[..., Any], script: Callable[[str], Path]
) -> Iterator[Path]:
    """The socket of a haproxy in front of three daemons."""
    model = script('run\nsleep 100\ntoken "yes"\nfinish\n')
    text = CONFIGURATION.read_text()
    for number in (1, 2, 3):
        folder = tmp_path / f"b{number}"
        folder.mkdir()
        daemon = start(directory=folder)
        daemon.load(model)
        text = text.replace(f"b{number}.lan:9200", f"unix@{daemon.path}")
    path = tmp_path / "haproxy.sock"
    text = text.replace("/run/rkllm-fleet.sock", str(path))
    (tmp_path / "haproxy.cfg").write_text(text)
    assert ".lan" not in re.sub("#.*", "", text)
    process = subprocess.Popen([str(HAPROXY), "-db", "-f", str(tmp_path / "haproxy.cfg")])
    try:
        _await_listener(path, process)
        yield path
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


def test_nine_clients_at_once_get_their_answers_from_three_boards(socket: Path) -> None:
    answers: list[str] = []

    def ask() -> None:
        with Client(str(socket)) as client:
            answers.append(client.run("go").text or "")

    clients = [threading.Thread(target=ask) for _ in range(9)]
    for one in clients:
        one.start()
    for one in clients:
        one.join(60)
    assert answers == ["yes"] * 9
