"""Both clients on a bad day: one sentence with cause and remedy, and nothing hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemons import Daemon
from false_daemons import rogue
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from rkllm_twisted.errors import (
    Busy,
    Disconnected,
    InvalidRequest,
    NoAnswer,
    NoDaemon,
    NoModel,
    NoPermission,
    NotADaemon,
    NotAllowed,
    RPCError,
    RuntimeCrashed,
    ShuttingDown,
    TimedOut,
    Unreachable,
)
from rkllm_twisted.server.state import RESERVED_CONNECTIONS

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
Connect = Callable[..., Any]
Failing = Callable[[Any], Any]


async def failure(awaitable: Any) -> Exception:
    """Return the exception that a call fails with, within a time limit."""

    async def wait() -> Any:
        return await awaitable

    try:
        await Deferred.fromCoroutine(wait()).addTimeout(25, reactor)
    except (RPCError, Unreachable) as error:
        text = str(error)
        assert "\n" not in text, text
        assert len(text.split()) > 5, text
        return error
    pytest.fail("nothing went wrong")


async def listening(
    results: AsyncIterator[Any], into: list[str], first: Callable[[], object]
) -> None:
    """Read a stream to its end, and call a function after its first result."""
    async for result in results:
        if not into:
            first()
        into.append(result.text)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients give up after half a second of silence."""
    for module in ("client_core.unix_socket", "client.connection"):
        monkeypatch.setattr(f"rkllm_twisted.{module}.PING_AFTER_S", 0.25)
        monkeypatch.setattr(f"rkllm_twisted.{module}.PING_TIMEOUT_S", 0.25)
    monkeypatch.setattr("rkllm_twisted.blocking.PING_TIMEOUT_S", 0.25)


@pytest_twisted.ensureDeferred
async def test_no_daemon(connect: Connect, tmp_path: Path) -> None:
    """The sentence has the command that starts a daemon for this socket."""
    path = tmp_path / "none.sock"
    error = await failure(connect(path))
    assert isinstance(error, NoDaemon)
    assert f"twistd -n rkllm --socket {path}" in str(error)


@pytest_twisted.ensureDeferred
async def test_a_socket_that_a_killed_daemon_left(start: Start, connect: Connect) -> None:
    """The sentence also explains why the socket exists."""
    daemon = start()
    daemon.stop(signal.SIGKILL)
    error = await failure(connect(daemon.path))
    assert isinstance(error, NoDaemon)
    assert "killed" in str(error)
    assert f"--socket {daemon.path}" in str(error)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Makes a directory that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest_twisted.ensureDeferred
async def test_no_permission(open_directory: Path, start: Start, connect: Connect) -> None:
    """The error names the daemon's option. Root may connect anywhere, so root changes its user."""
    daemon = start(directory=open_directory)
    daemon.path.chmod(0)
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        error = await failure(connect(daemon.path))
    finally:
        os.seteuid(uid)
    assert isinstance(error, NoPermission)
    assert "--mode" in str(error)
    assert str(daemon.path) in str(error)


@pytest_twisted.ensureDeferred
async def test_not_a_socket(connect: Connect, tmp_path: Path) -> None:
    """The path is a file, a directory, or has a file as a parent."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path, tmp_path / "file" / "rkllm.sock"):
        error = await failure(connect(path))
        assert isinstance(error, NotADaemon)
        assert str(path) in str(error)


@pytest_twisted.ensureDeferred
async def test_a_path_that_no_socket_can_have(connect: Connect, tmp_path: Path) -> None:
    """The error is immediate."""
    error = await failure(connect(tmp_path / ("x" * 200)))
    assert "too long" in str(error)


@pytest_twisted.ensureDeferred
async def test_another_program_answers(connect: Connect, tmp_path: Path) -> None:
    """The other program may be a web server."""
    path = tmp_path / "other.sock"
    with rogue(path, b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        error = await failure(connect(path))
    assert isinstance(error, NotADaemon)
    assert str(path) in str(error)


@pytest_twisted.ensureDeferred
async def test_somebody_closes_without_a_word(connect: Connect, tmp_path: Path) -> None:
    """A daemon that dies does the same."""
    path = tmp_path / "other.sock"
    with rogue(path, b""):
        assert isinstance(await failure(connect(path)), Disconnected)


@pytest.mark.usefixtures("patience")
@pytest_twisted.ensureDeferred
async def test_somebody_listens_and_says_nothing(connect: Connect, tmp_path: Path) -> None:
    """The client gives up after its time limit."""
    path = tmp_path / "other.sock"
    with rogue(path, None):
        error = await failure(connect(path))
    assert isinstance(error, NoAnswer)
    assert str(path) in str(error)


@pytest.mark.usefixtures("patience")
@pytest_twisted.ensureDeferred
async def test_a_daemon_that_is_stopped_is_given_up(
    start: Start, script: Script, connect: Connect
) -> None:
    """The daemon does not answer pings, and no timeout was set."""
    daemon = start()
    client = await connect(daemon.path)
    await client.ping()
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        error = await failure(client.status())
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert isinstance(error, NoAnswer)
    assert "ping" in str(error)
    assert isinstance(await failure(client.status()), NoAnswer)


@pytest.mark.usefixtures("patience")
@pytest_twisted.ensureDeferred
async def test_a_daemon_that_is_only_slow_is_not(
    start: Start, script: Script, connect: Connect
) -> None:
    """The first token takes long, but the daemon answers the pings."""
    client = await connect(start().path)
    await client.init(script("run\nprefill 1500\necho\n"))
    assert (await client.run("slow")).text == "slow"


@pytest.mark.usefixtures("patience")
@pytest_twisted.ensureDeferred
async def test_nobody_takes_the_connections_that_wait(connect: Connect, tmp_path: Path) -> None:
    """A daemon that hangs does the same once its backlog is full."""
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as port, contextlib.ExitStack() as waiting:
        port.bind(str(path))
        port.listen(0)
        for _ in range(2):
            one = waiting.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            one.connect_ex(str(path))
        error = await failure(connect(path))
    assert "try again later" in str(error)


@pytest_twisted.ensureDeferred
async def test_this_user_may_not_connect(start: Start, connect: Connect) -> None:
    """The daemon's own message names the option."""
    error = await failure(connect(start(f"--allow-uid={os.geteuid() + 1}").path))
    assert isinstance(error, NotAllowed)
    assert "--allow-uid" in str(error)


@pytest_twisted.ensureDeferred
async def test_this_user_may_not_load_a_model(start: Start, connect: Connect) -> None:
    """The connection stays open."""
    client = await connect(
        start(f"--admin-uid={os.geteuid() + 1}", f"--allow-uid={os.geteuid()}").path
    )
    assert isinstance(await failure(client.destroy()), NotAllowed)
    await client.ping()


@pytest_twisted.ensureDeferred
async def test_too_many_clients(start: Start, connect: Connect) -> None:
    """The daemon's own message arrives when the client connects."""
    daemon = start("--max-clients=1")
    for _ in range(1 + (RESERVED_CONNECTIONS if os.geteuid() == 0 else 0)):
        await connect(daemon.path)
    error = await failure(connect(daemon.path))
    assert isinstance(error, Busy)
    assert "try again later" in str(error)


@pytest_twisted.ensureDeferred
async def test_no_model(start: Start, connect: Connect) -> None:
    """The error names rkllm.init."""
    client = await connect(start().path)
    for asked in (client.run("hi"), listening(client.run_async("hi"), [], lambda: None)):
        error = await failure(asked)
        assert isinstance(error, NoModel)
        assert "rkllm.init" in str(error)


@pytest_twisted.ensureDeferred
async def test_the_runtime_crashes(start: Start, script: Script, connect: Connect) -> None:
    """The error has the cause and the remedy; the connection stays open."""
    client = await connect(start().path)
    await client.init(script('run when "die"\ntoken "x"\nsegv\nrun\necho\n'))
    seen: list[str] = []
    error = await failure(listening(client.run_async("die"), seen, lambda: None))
    assert seen == ["x"]
    assert isinstance(error, RuntimeCrashed)
    assert "SIGSEGV" in str(error)
    assert "rkllm.init" in str(error)
    assert error.data is not None
    assert error.data["signal"] == signal.SIGSEGV
    await client.ping()


@pytest_twisted.ensureDeferred
async def test_the_runtime_hangs(start: Start, script: Script, connect: Connect) -> None:
    """The daemon ends the run; the error names the option."""
    client = await connect(start("--token-timeout=0.3").path)
    await client.init(script('run\ntoken "x"\ndeaf\nhang\n'))
    error = await failure(client.run("hi"))
    assert isinstance(error, TimedOut)
    assert "--token-timeout" in str(error)


@pytest_twisted.ensureDeferred
async def test_the_queue_is_full(start: Start, script: Script, connect: Connect) -> None:
    """The error is immediate and has the queue's length."""
    daemon = start("--queue=1")
    gate = daemon.path.with_name("gate")
    clients = [await connect(daemon.path) for _ in range(4)]
    await clients[0].init(script(f'run\nwait "{gate}"\necho\n'))
    asked = [client.run("hi") for client in clients[:2]]
    while (await clients[3].status()).queue_length < 1:
        pass  # until both have arrived
    error = await failure(clients[2].run("hi"))
    assert isinstance(error, Busy)
    assert error.data == {"queue_length": 1}
    assert "try again" in str(error)
    gate.touch()
    assert [result.text for result in await gatherResults(asked)] == ["hi", "hi"]


@pytest_twisted.ensureDeferred
async def test_the_connection_is_lost_in_the_middle_of_an_answer(
    start: Start, script: Script, connect: Connect
) -> None:
    """Earlier results arrive; then this call and all later ones fail."""
    daemon = start()
    client = await connect(daemon.path)
    await client.init(script('run\ntoken "x"\nhang until abort\n'))
    seen: list[str] = []
    error = await failure(
        listening(client.run_async("hi"), seen, lambda: daemon.stop(signal.SIGKILL))
    )
    assert seen == ["x"]
    assert isinstance(error, Disconnected)
    assert "connect again" in str(error)
    assert str(daemon.path) in str(error)
    assert isinstance(await failure(client.ping()), Disconnected)
    assert isinstance(await failure(listening(client.run_async("hi"), [], int)), Disconnected)


@pytest_twisted.ensureDeferred
async def test_the_daemon_is_stopped_in_order(
    start: Start, script: Script, connect: Connect
) -> None:
    """The current run ends; a later one gets ShuttingDown or Disconnected."""
    daemon = start()
    client = await connect(daemon.path)
    await client.init(script('run\ndelay 20\nrepeat 10 token "x"\nfinish\n'))
    seen: list[str] = []

    def terminate() -> None:
        daemon.process.send_signal(signal.SIGTERM)

    await listening(client.run_async("hi"), seen, terminate)
    assert "".join(seen) == "x" * 10
    assert isinstance(await failure(client.run("hi")), ShuttingDown | Disconnected)


@pytest_twisted.ensureDeferred
async def test_a_message_is_too_long(start: Start, connect: Connect) -> None:
    """The daemon's message arrives although it closes the connection amid the transfer."""
    client = await connect(start("--max-message=100K").path)
    error = await failure(client.run("x" * 5_000_000))
    assert isinstance(error, InvalidRequest)
    assert "102400 bytes" in str(error)


@pytest_twisted.ensureDeferred
async def test_a_long_message_does_not_wait_for_a_stream_to_be_read(
    start: Start, script: Script, connect: Connect
) -> None:
    """The daemon pauses reading while much is unread, so the client must read while it writes."""
    daemon = start()
    client, observer = await connect(daemon.path), await connect(daemon.path)
    model = script(
        'context 10000\nrun when "much"\nrepeat 2700 token "0123456789"\nfinish\nrun\necho\n'
    )
    await client.init(model, max_context_len=10000, max_new_tokens=5000)
    texts: list[str] = []
    async for result in client.run_async("much"):
        if not texts:
            while (await observer.status()).tokens < 2700:
                pass  # until all results wait to be read
            assert (await client.run("y" * 4_000_000)).text == "y" * 4_000_000
        texts.append(result.text)
    assert "".join(texts) == "0123456789" * 2700


def test_the_program_says_one_sentence_when_it_ends_with_it(tmp_path: Path) -> None:
    """The sentence is the traceback's last line if the program does not catch the error."""
    code = "import sys; from rkllm_twisted.blocking import Client; Client(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("rkllm_twisted.errors.NoDaemon: No daemon")
