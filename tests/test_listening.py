"""The socket: opened safely, taken over when stale, never stolen, never left behind."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from rkllm_twisted.errors import SocketError
from rkllm_twisted.server.listening import MAX_PATH_BYTES, SocketLock, UNIXSocketService


class Greeting(Protocol):
    """Says who is listening."""

    def connectionMade(self) -> None:
        """Say it and go."""
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket goes."""
    return tmp_path / "s.sock"


@pytest.fixture
def started() -> Iterator[list[UNIXSocketService]]:
    """Services to stop when the test is over."""
    services: list[UNIXSocketService] = []
    yield services
    for service in services:
        pytest_twisted.blockon(service.stopService())


def service(path: Path, mode: int = 0o600) -> UNIXSocketService:
    """A service that greets."""
    return UNIXSocketService(reactor, str(path), mode, Factory.forProtocol(Greeting))


def dead_socket(path: Path) -> None:
    """What a killed daemon leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_socket_has_exactly_its_mode(
    path: Path, started: list[UNIXSocketService], mode: int, umask: int
) -> None:
    """Whatever the umask is; and the umask is left as it was."""
    before = os.umask(umask)
    try:
        started.append(listening := service(path, mode))
        listening.startService()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_socket_never_has_a_wider_mode(
    path: Path, started: list[UNIXSocketService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even between bind(2) and the chmod(2) that Twisted does."""
    seen: list[int] = []
    chmod = os.chmod

    def look_and_chmod(target: bytes, mode: int) -> None:
        seen.append(stat.S_IMODE(os.stat(target).st_mode))  # noqa: PTH116
        chmod(target, mode)

    monkeypatch.setattr(os, "chmod", look_and_chmod)
    started.append(listening := service(path, 0o600))
    listening.startService()
    assert seen == [0o600]


@pytest_twisted.ensureDeferred
async def test_stopping_removes_the_socket_and_its_lock(path: Path) -> None:
    """Nothing is left in the directory."""
    listening = service(path)
    listening.startService()
    await listening.stopService()
    assert list(path.parent.iterdir()) == []


def test_a_stale_socket_is_replaced(path: Path, started: list[UNIXSocketService]) -> None:
    """What a killed daemon left does not keep the next one out."""
    dead_socket(path)
    started.append(listening := service(path))
    listening.startService()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_stale_lock_file_is_no_lock(path: Path, started: list[UNIXSocketService]) -> None:
    """Only a living holder counts, whatever the file says."""
    path.with_name(path.name + ".lock").write_text(str(os.getpid()))
    started.append(listening := service(path))
    listening.startService()
    assert path.is_socket()


def test_a_second_daemon_is_refused(path: Path, started: list[UNIXSocketService]) -> None:
    """One sentence that names the socket; the first goes on."""
    started.append(first := service(path))
    first.startService()
    with pytest.raises(SocketError, match="Another daemon already serves .*s.sock; stop it"):
        service(path).startService()
    assert path.is_socket()


def test_another_programs_socket_is_not_stolen(path: Path) -> None:
    """A live socket without our lock belongs to somebody."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(SocketError, match="Another program already listens"):
            service(path).startService()
        assert path.is_socket()


def test_a_full_backlog_is_a_live_socket(path: Path) -> None:
    """A program too busy to accept is not taken for dead."""
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(str(path))
        other.listen(0)
        client.setblocking(False)
        client.connect(str(path))
        with pytest.raises(SocketError, match="Another program"):
            service(path).startService()


def test_a_file_in_the_way_is_left_alone(path: Path) -> None:
    """A typing mistake costs no file."""
    path.write_text("precious")
    with pytest.raises(SocketError, match="is not a socket"):
        service(path).startService()
    assert path.read_text() == "precious"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """And what to do."""
    with pytest.raises(SocketError, match=r"The directory .*nowhere does not exist; make it"):
        service(tmp_path / "nowhere" / "s.sock").startService()


def test_a_long_path_is_refused_with_both_lengths(tmp_path: Path) -> None:
    """sun_path is short."""
    path = tmp_path / ("x" * MAX_PATH_BYTES)
    with pytest.raises(SocketError, match=rf"has {len(str(path))} bytes.* may have 107"):
        service(path).startService()


def test_a_refused_start_gives_the_lock_back(path: Path, started: list[UNIXSocketService]) -> None:
    """The next try is not kept out by the one that failed."""
    path.write_text("in the way")
    with pytest.raises(SocketError):
        service(path).startService()
    path.unlink()
    started.append(listening := service(path))
    listening.startService()
    assert path.is_socket()


@pytest_twisted.ensureDeferred
async def test_the_old_ones_stop_leaves_the_new_ones_socket(
    path: Path, started: list[UNIXSocketService]
) -> None:
    """A daemon removes only the file that it made."""
    old = service(path)
    old.startService()
    path.unlink()
    path.with_name(path.name + ".lock").unlink()
    started.append(new := service(path))
    new.startService()
    await old.stopService()
    assert path.is_socket()


@pytest_twisted.ensureDeferred
async def test_stopping_survives_a_socket_that_is_gone(path: Path) -> None:
    """Somebody removed the file: that is no error at the end."""
    listening = service(path)
    listening.startService()
    path.unlink()
    await listening.stopService()


def test_a_lock_on_a_file_that_was_just_removed_is_taken_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder before us removes the file between our open and our flock."""
    lock, locked = SocketLock(path), []
    flock = fcntl.flock

    def remove_and_flock(fd: int, how: int) -> None:
        if not locked:
            lock.path.unlink()
        locked.append(fd)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", remove_and_flock)
    lock.acquire()
    assert len(locked) == 2
    with pytest.raises(SocketError):
        SocketLock(path).acquire()
    lock.release()


def test_the_lock_follows_its_file(path: Path) -> None:
    """A lock on a file that is no longer at its path counts for nothing."""
    first, second = SocketLock(path), SocketLock(path)
    first.acquire()
    first.path.unlink()
    second.acquire()
    second.release()
    first.release()


@pytest_twisted.ensureDeferred
async def test_connections_outlive_the_listening(path: Path) -> None:
    """Stopping to accept does not cut who is connected."""

    class Waiting(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(b"still here")

    listening = UNIXSocketService(reactor, str(path), 0o600, made := Factory.forProtocol(Waiting))
    accepted: Deferred[None] = Deferred()
    build = made.buildProtocol

    def build_and_tell(address: object) -> Protocol:
        accepted.callback(None)
        return build(address)

    made.buildProtocol = build_and_tell  # type: ignore[method-assign]
    listening.startService()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        await accepted
        await listening.stopService()
        client.sendall(b"?")
        client.settimeout(5)
        assert await deferToThread(client.recv, 100) == b"still here"
