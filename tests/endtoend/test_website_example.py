"""examples/website runs the daemon and a web site in one process."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from daemons import MAX_WAIT_S, RawClient, environment, twistd
from endtoend.test_docs import PROJECT, await_client

Script = Callable[[str], Path]


class Web(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=MAX_WAIT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(MAX_WAIT_S)
        self.sock.connect(str(self._path))


@contextlib.contextmanager
def website(directory: Path, **variables: str) -> Iterator[tuple[Path, RawClient]]:
    """Run the application; yield the site's path and a client of the daemon's own socket."""
    site = shutil.copytree(PROJECT / "examples" / "website", directory / "website")
    variables |= {
        "RKLLM_LIBRARY": "cpu",
        "RKLLM_UDS_PATH": str(directory / "rkllm.sock"),
        "WEBSITE_ENDPOINT": f"unix:{directory / 'web.sock'}",
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*twistd(), "--pidfile=", "-ny", "website.tac"],
            cwd=site,
            env=environment() | variables,
            stdout=log,
            stderr=log,
        )
    try:
        with await_client(directory / "rkllm.sock", process) as client:
            await_client(directory / "web.sock", process).socket.close()
            yield directory / "web.sock", client
    finally:
        process.terminate()
        assert process.wait(MAX_WAIT_S) in (0, -signal.SIGTERM)
    assert "Traceback" not in (directory / "log").read_text()


def ask(path: Path, url: str) -> tuple[int, str]:
    """Send a GET and return status and body."""
    with contextlib.closing(Web(path)) as web:
        web.request("GET", url)
        response = web.getresponse()
        return response.status, response.read().decode()


def await_state(client: RawClient, wanted: str) -> None:
    """Poll the NPU's state until it has this value."""
    deadline = time.monotonic() + MAX_WAIT_S
    while (state := client.ask("server.status")["result"]["state"]) != wanted:
        assert time.monotonic() < deadline, state


def test_the_page_asks_and_the_model_answers(tmp_path: Path) -> None:
    """Clients of the socket use the same model."""
    with website(tmp_path) as (path, client):
        assert "<form action" in ask(path, "/")[1]
        assert ask(path, "/ask?q=Hello") == (200, "Hello. Ask me something about Python.")
        answer = client.ask("rkllm.run", [{"prompt_input": "Hello"}])["result"]["text"]
        assert answer == "Hello. Ask me something about Python."


def test_what_is_no_question_is_refused(tmp_path: Path) -> None:
    """An empty question and one with NUL are refused."""
    with website(tmp_path) as (path, _):
        assert ask(path, "/ask")[0] == 400
        assert ask(path, "/ask?q=a%00b")[0] == 400


def test_without_a_model_the_page_says_so(tmp_path: Path) -> None:
    """The text is the daemon's own."""
    with website(tmp_path) as (path, client):
        await_state(client, "loaded")
        client.ask("rkllm.destroy")
        status, said = ask(path, "/ask?q=Hello")
        assert status == 503
        assert "model" in said


def test_who_closes_the_page_cancels_the_run(tmp_path: Path, script: Script) -> None:
    """The NPU is then free for the next run."""
    model = script('run\ntoken "One,"\nhang until abort\nfinish\n')
    with website(tmp_path, WEBSITE_MODEL=str(model)) as (path, client):
        with contextlib.closing(Web(path)) as web:
            web.request("GET", "/ask?q=Hello")
            assert web.getresponse().read1() == b"One,"
            assert client.ask("server.status")["result"]["state"] == "running"
        await_state(client, "loaded")
