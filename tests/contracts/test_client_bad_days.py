"""What both clients say on a bad day: one sentence, what happened and what to do; nothing hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
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

Start = Callable[..., Daemon]
Script = Callable[[str], Path]
Connect = Callable[..., Any]
Failing = Callable[[Any], Any]


async def failure(awaitable: Any) -> Exception:
    """What goes wrong, within a time in which anything must."""

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
    """Read a stream to its end; something happens after its first result."""
    async for result in results:
        if not into:
            first()
        into.append(result.text)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that give a silent daemon up after half a second."""
    for module in ("blocking", "client.connection"):
        monkeypatch.setattr(f"rkllm_twisted.{module}.PING_AFTER_S", 0.25)
        monkeypatch.setattr(f"rkllm_twisted.{module}.PING_TIMEOUT_S", 0.25)
    monkeypatch.setattr("rkllm_twisted.client_core.unix_socket.PING_TIMEOUT_S", 0.25)


@pytest_twisted.ensureDeferred
async def test_no_daemon(connect: Connect, tmp_path: Path) -> None:
    """The command that starts one is in the sentence, for this socket."""
    path = tmp_path / "none.sock"
    error = await failure(connect(path))
    assert isinstance(error, NoDaemon)
    assert f"twistd -n rkllm --socket {path}" in str(error)


@pytest_twisted.ensureDeferred
async def test_a_socket_that_a_killed_daemon_left(start: Start, connect: Connect) -> None:
    """The same, and why it is there."""
    daemon = start()
    daemon.stop(signal.SIGKILL)
    error = await failure(connect(daemon.path))
    assert isinstance(error, NoDaemon)
    assert "killed" in str(error)
    assert f"--socket {daemon.path}" in str(error)


@pytest_twisted.ensureDeferred
async def test_no_permission(start: Start, connect: Connect, tmp_path: Path) -> None:
    """The daemon's option is named. Root is let in everywhere, so it becomes somebody else."""
    daemon = start()
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
    """A file, a directory, or a path that has a file in its middle."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path, tmp_path / "file" / "rkllm.sock"):
        error = await failure(connect(path))
        assert isinstance(error, NotADaemon)
        assert str(path) in str(error)


@pytest_twisted.ensureDeferred
async def test_a_path_that_no_socket_can_have(connect: Connect, tmp_path: Path) -> None:
    """Said at once."""
    error = await failure(connect(tmp_path / ("x" * 200)))
    assert "too long" in str(error)


@pytest_twisted.ensureDeferred
async def test_another_program_answers(connect: Connect, tmp_path: Path) -> None:
    """Such as a web server."""
    path = tmp_path / "other.sock"
    with rogue(path, b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        error = await failure(connect(path))
    assert isinstance(error, NotADaemon)
    assert str(path) in str(error)


@pytest_twisted.ensureDeferred
async def test_somebody_closes_without_a_word(connect: Connect, tmp_path: Path) -> None:
    """As a daemon does that dies."""
    path = tmp_path / "other.sock"
    with rogue(path, b""):
        assert isinstance(await failure(connect(path)), Disconnected)


@pytest.mark.usefixtures("patience")
@pytest_twisted.ensureDeferred
async def test_somebody_listens_and_says_nothing(connect: Connect, tmp_path: Path) -> None:
    """It is given up."""
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
    """It does not even answer a ping. No timeout was asked for."""
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
    """A run whose first token takes long: the daemon answers the pings."""
    client = await connect(start().path)
    await client.init(script("run\nprefill 1500\necho\n"))
    assert (await client.run("slow")).text == "slow"


@pytest.mark.usefixtures("patience")
@pytest_twisted.ensureDeferred
async def test_nobody_takes_the_connections_that_wait(connect: Connect, tmp_path: Path) -> None:
    """As with a daemon that hangs, once enough have tried."""
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
    """The daemon says so itself, and which option decides."""
    error = await failure(connect(start(f"--allow-uid={os.geteuid() + 1}").path))
    assert isinstance(error, NotAllowed)
    assert "--allow-uid" in str(error)


@pytest_twisted.ensureDeferred
async def test_this_user_may_not_load_a_model(start: Start, connect: Connect) -> None:
    """And is connected all the same."""
    client = await connect(
        start(f"--admin-uid={os.geteuid() + 1}", f"--allow-uid={os.geteuid()}").path
    )
    assert isinstance(await failure(client.destroy()), NotAllowed)
    await client.ping()


@pytest_twisted.ensureDeferred
async def test_too_many_clients(start: Start, connect: Connect) -> None:
    """The daemon says so itself, to whoever connects."""
    daemon = start("--max-clients=1")
    await connect(daemon.path)
    error = await failure(connect(daemon.path))
    assert isinstance(error, Busy)
    assert "try again later" in str(error)


@pytest_twisted.ensureDeferred
async def test_no_model(start: Start, connect: Connect) -> None:
    """What loads one is named."""
    client = await connect(start().path)
    for asked in (client.run("hi"), listening(client.run_async("hi"), [], lambda: None)):
        error = await failure(asked)
        assert isinstance(error, NoModel)
        assert "rkllm.init" in str(error)


@pytest_twisted.ensureDeferred
async def test_the_runtime_crashes(start: Start, script: Script, connect: Connect) -> None:
    """In the middle of an answer: how, and what to do; the connection stays."""
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
    """The daemon ends it; the option is named."""
    client = await connect(start("--token-timeout=0.3").path)
    await client.init(script('run\ntoken "x"\ndeaf\nhang\n'))
    error = await failure(client.run("hi"))
    assert isinstance(error, TimedOut)
    assert "--token-timeout" in str(error)


@pytest_twisted.ensureDeferred
async def test_the_queue_is_full(start: Start, script: Script, connect: Connect) -> None:
    """At once, and how long it is."""
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
    """What had come counts; then, and from then on, the error."""
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
    """The run under way may end; what comes after it is refused, or finds nobody."""
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
    """The daemon's own words, although it closes while the message is still being sent."""
    client = await connect(start("--max-message=100K").path)
    error = await failure(client.run("x" * 5_000_000))
    assert isinstance(error, InvalidRequest)
    assert "102400 bytes" in str(error)


@pytest_twisted.ensureDeferred
async def test_a_long_message_does_not_wait_for_a_stream_to_be_read(
    start: Start, script: Script, connect: Connect
) -> None:
    """The daemon stops reading who leaves much unread: both ends would wait for each other, if the
    client only wrote while it has to write.
    """
    daemon = start()
    client, observer = await connect(daemon.path), await connect(daemon.path)
    model = script(
        'context 10000\nrun when "much"\nrepeat 2300 token "0123456789"\nfinish\nrun\necho\n'
    )
    await client.init(model, max_context_len=10000, max_new_tokens=5000)
    texts: list[str] = []
    async for result in client.run_async("much"):
        if not texts:
            while (await observer.status()).tokens < 2300:
                pass  # until all of it waits to be read
            assert (await client.run("y" * 4_000_000)).text == "y" * 4_000_000
        texts.append(result.text)
    assert "".join(texts) == "0123456789" * 2300


def test_the_program_says_one_sentence_when_it_ends_with_it(tmp_path: Path) -> None:
    """As a traceback's last line, for whoever catches nothing."""
    code = "import sys; from rkllm_twisted.blocking import Client; Client(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("rkllm_twisted.errors.NoDaemon: No daemon")
