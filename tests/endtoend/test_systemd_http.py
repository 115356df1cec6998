"""The HTTP service under systemd: the passed socket, the notifications, and its sandbox."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from daemons import MAX_WAIT_S, environment, twistd
from unit_files import UNWRITABLE, allowed_calls, needs, traced_calls

from rkllm_twisted.testing import FakeDaemon

PAGE = Path(__file__).parents[2] / "docs" / "http-board.md"
#: PrivateNetwork=, where this user may have it.
NO_NETWORK = ("unshare", "--net")
#: Becomes the service as under systemd: the socket is descriptor 3, and LISTEN_PID is its id.
BECOME = 'export LISTEN_PID=$$; exec "$@" 3<&{descriptor}'


class Service:
    """The service as rkllm-http.service starts it, with one passed socket.

    :param wrapper: a command that starts it in its place.
    :param config: its settings.
    :param host: where the socket listens.
    """

    def __init__(
        self, directory: Path, wrapper: list[str], config: Path, host: str = "127.0.0.1"
    ) -> None:
        self.listening = socket.create_server((host, 0))
        self.news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.news.bind(str(directory / "notify"))
        self.news.settimeout(MAX_WAIT_S)
        self.log = directory / "http.log"
        descriptor = self.listening.fileno()
        command = [*wrapper, *twistd(), "--nodaemon", "--pidfile=", "rkllm-http"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", BECOME.format(descriptor=descriptor), "bash", *command],
                stdout=log,
                stderr=log,
                cwd=directory,
                pass_fds=[descriptor],
                env={
                    **environment(),
                    "RKLLM_UDS_PATH": str(directory / "rkllm.sock"),
                    "RKLLM_HTTP_CONFIG": str(config),
                    "LISTEN_FDS": "1",
                    "LISTEN_FDNAMES": "rkllm-http.socket",
                    "NOTIFY_SOCKET": str(directory / "notify"),
                },
            )

    def told(self) -> dict[str, str]:
        """Read the next notification."""
        lines = self.news.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def ask(self, path: str, key: str = "", body: str | None = None) -> int:
        """Ask it; return the status."""
        connection = http.client.HTTPConnection(*self.listening.getsockname(), timeout=MAX_WAIT_S)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listening.close()
        self.news.close()


@attrs.frozen
class Seen:
    """What happened in one life of the service."""

    first_news: dict[str, str]
    health: int
    answers: dict[str, int]
    after_reload: dict[str, int]
    ready: int
    exit_code: int
    log: str
    trace: Path


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One life: without the daemon, with it, with other keys, and to its end."""
    if subprocess.run([sys.executable, "-c", UNWRITABLE, "true"]).returncode != 0:
        pytest.skip("this kernel cannot refuse writable code (Linux 6.3)")
    directory = tmp_path_factory.mktemp("unit")
    trace = directory / "trace"
    wrapper = list(NO_NETWORK) if subprocess.run([*NO_NETWORK, "true"]).returncode == 0 else []
    wrapper += ["strace", "-D", "-f", "-qq", "-o", str(trace), sys.executable, "-c", UNWRITABLE]
    keys, config = directory / "keys", directory / "http.toml"
    keys.write_text("anna: key-of-anna\n")
    config.write_text(f'api-key-file = "{keys}"\n')
    service = Service(directory, wrapper, config)
    try:
        news = service.told()
        health, away = service.ask("/health"), service.ask("/ready")
        with FakeDaemon(default="Hi", model="m.gguf").listening(str(directory / "rkllm.sock")):
            answers = {key: service.ask("/v1/models", key) for key in ("", "key-of-anna")}
            chat = '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'
            answers["chat"] = service.ask("/v1/chat/completions", "key-of-anna", chat)
            answers["metrics"] = service.ask("/metrics", "key-of-anna")
            keys.write_text("bert: key-of-bert\n")
            service.process.send_signal(signal.SIGHUP)
            _await(service, "key-of-bert")
            again = {key: service.ask("/v1/models", key) for key in ("key-of-anna", "key-of-bert")}
        service.process.terminate()
        code = service.process.wait(MAX_WAIT_S)
        yield Seen(news, health, answers, again, away, code, service.log.read_text(), trace)
    finally:
        service.close()


def _await(service: Service, key: str) -> None:
    """Wait until a key is known."""
    deadline = time.monotonic() + MAX_WAIT_S
    while service.ask("/v1/models", key) == 401:
        assert time.monotonic() < deadline, service.log.read_text()
        time.sleep(0.02)  # a signal has no answer


@needs("strace", "strace")
def test_the_service_is_ready_on_the_passed_socket(seen: Seen) -> None:
    """Without --listen, and without the daemon."""
    assert seen.first_news["READY"] == "1"
    assert seen.first_news["STATUS"] == "answers under way: 0; connections: 0"
    assert (seen.health, seen.ready) == (200, 503)


@needs("strace", "strace")
def test_the_daemon_that_comes_later_is_asked(seen: Seen) -> None:
    assert seen.answers == {"": 401, "key-of-anna": 200, "chat": 200, "metrics": 200}


@needs("strace", "strace")
def test_a_reload_takes_other_keys(seen: Seen) -> None:
    """As ExecReload= sends it."""
    assert seen.after_reload == {"key-of-anna": 401, "key-of-bert": 200}


@needs("strace", "strace")
def test_the_service_stops_in_order(seen: Seen) -> None:
    assert seen.exit_code == 0
    assert "Traceback" not in seen.log


@needs("systemd-analyze", "systemd")
@needs("strace", "strace")
def test_the_service_makes_no_call_that_the_unit_forbids(seen: Seen) -> None:
    """It ran without writable code, too (MemoryDenyWriteExecute=)."""
    made = traced_calls(seen.trace)
    assert {"accept4", "execve", "sendto"} <= made
    assert made - allowed_calls("rkllm-http.service") == set()
    sockets = {line for line in seen.trace.read_text().splitlines() if " socket(" in line}
    assert sockets
    assert all("socket(AF_UNIX" in line for line in sockets)


def as_here(command: str, root: Path) -> str:
    """A command of the page, for files below a directory and without systemd."""
    command = command.replace("sudo ", "").replace("/etc/", f"{root}/etc/")
    return re.sub(r"^systemctl .*$", "", command, flags=re.M).replace("-g rkllm-http ", "")


def test_the_pages_commands_make_keys_that_let_another_machine_in(tmp_path: Path) -> None:
    """The service runs as the unit runs it, with the files that the commands write."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    (keys,) = (block for block in blocks if "http-keys" in block)
    ask = [block for block in blocks if "curl " in block]
    (tmp_path / "etc/rkllm").mkdir(parents=True)
    run(as_here(keys, tmp_path))
    drop_in = tmp_path / "etc/systemd/system/rkllm-http.socket.d/listen.conf"
    assert drop_in.read_text() == "[Socket]\nListenStream=\nListenStream=0.0.0.0:8080\n"
    key_file = tmp_path / "etc/rkllm/http-keys"
    assert key_file.stat().st_mode & 0o777 == 0o640
    key = key_file.read_text().removeprefix("anna: ").strip()
    service = Service(tmp_path, [], config=tmp_path / "etc/rkllm-http.toml", host="0.0.0.0")
    try:
        service.told()
        with FakeDaemon(default="Hi", model="m.gguf").listening(str(tmp_path / "rkllm.sock")):
            port = service.listening.getsockname()[1]
            for block in ask:
                command = re.sub(r"(127\.0\.0\.1|board\.local):8080", f"127.0.0.1:{port}", block)
                command = command.replace("KEY", key).replace('"MODEL"', '"m"')
                for one in command.replace("\\\n", " ").splitlines():
                    header = "" if "Bearer" in one else f" -H 'Authorization: Bearer {key}'"
                    said = run(f"{one.replace('curl', 'curl -sS --noproxy *', 1)}{header}")
                    assert '"object":"list"' in said or '"content":"Hi"' in said, said
    finally:
        service.close()


def run(script: str) -> str:
    """Run commands that must succeed; return their output."""
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
