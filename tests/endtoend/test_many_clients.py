"""A thousand connections at once, and the errors when there is no room for them."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Daemon, environment, twistd

from rkllm_twisted.server.state import RESERVED_CONNECTIONS

Start = Callable[..., Daemon]


@pytest.fixture
def low_limit() -> Iterator[None]:
    """Lower the soft limit of descriptors for daemons, as in a shell, and restore it later."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("low_limit")
def test_a_thousand_clients_are_served_at_once(start: Start) -> None:
    """The daemon raises its soft limit; the next client is refused until another one leaves."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2400:
        pytest.skip("the system allows fewer descriptors")
    daemon = start("--max-clients=1000")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2400, hard))
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(daemon.connect())
        while first.ask("server.status")["result"]["clients"] > 1:
            pass  # the fixture's own probe may still be connected
        others = [clients.enter_context(daemon.connect()) for _ in range(999)]
        for number, client in enumerate(others):
            client.send({"jsonrpc": "2.0", "id": number, "method": "server.ping"})
        assert [client.line()["id"] for client in others] == list(range(999))
        assert first.ask("server.status")["result"]["clients"] == 1000
        if os.geteuid() == 0:  # root has a reserve
            for _ in range(RESERVED_CONNECTIONS):
                assert clients.enter_context(daemon.connect()).ask("server.ping")
        with daemon.connect() as one_too_many:
            one_too_many.socket.sendall(b"{")
            assert one_too_many.line()["error"]["code"] == -32002
            assert one_too_many.eof() == b""
        others[0].socket.close()
        with daemon.connect() as late:
            assert late.ask("server.ping")["result"] == "pong"


def test_too_few_descriptors_are_a_reason_not_to_start(tmp_path: Path) -> None:
    """One sentence has the needed number, the limit, and the remedy."""
    command = [*twistd(), "-n", "--pidfile=", "rkllm", "--library=cpu", "--socket=s"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 500; exec "$@"', "sh", *command, "--max-clients=1000"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    said = done.stderr.strip().splitlines()[-1]
    assert f"{2 * 1000 + RESERVED_CONNECTIONS + 256} file descriptors" in said
    assert "may have 500" in said
    assert "--max-clients" in said
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "s").exists()
