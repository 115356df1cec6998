"""The socket: opened safely, taken over when stale, never stolen, never left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from rkllm_twisted.errors import SocketError
from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.service import UNIXSocketService
from rkllm_twisted.server.socket_file import SAME_ID, SocketFile, SocketLock
from rkllm_twisted.wire.socket_path import MAX_SOCKET_PATH_BYTES

#: Opens the socket and is killed, again and again; half the kills come at random moments.
KILLED = """
import os, random, signal, socket, sys, time
from rkllm_twisted.server.socket_file import SocketFile

path, times = sys.argv[1], int(sys.argv[2])
random.seed(1)
for number in range(times):
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        opened = SocketFile(path, 0o600).open()
        os.write(tell, b"!")
        signal.pause()
    if number % 2:
        time.sleep(random.random() / 1000)
    else:
        assert os.read(told, 1) == b"!"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        print("listened")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(told), os.close(tell)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to anybody")


class Greeting(Protocol):
    """Sends a greeting to identify the listener."""

    def connectionMade(self) -> None:
        """Send the greeting and close."""
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the socket."""
    return tmp_path / "s.sock"


@pytest.fixture
def started() -> Iterator[list[UNIXSocketService]]:
    """Services that are stopped after the test."""
    services: list[UNIXSocketService] = []
    yield services
    for service in services:
        pytest_twisted.blockon(service.stopService())


def service(
    path: Path, mode: int = 0o600, owner: int = SAME_ID, group: int = SAME_ID
) -> UNIXSocketService:
    """A service that greets."""
    source = SocketFile(str(path), mode, owner, group)
    return UNIXSocketService(RKLLMServerEndpoint(reactor, source), Factory.forProtocol(Greeting))


@attrs.frozen
class Look:
    """A file's permission bits and group at one moment."""

    mode: int
    group: int


def spied(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[Look]:
    """The state of the socket's file before each chmod(2) and chown(2)."""
    seen: list[Look] = []
    chmod, chown = Path.chmod, os.chown  # Python 3.10's Path keeps an os.chmod of its own

    def look(change: Callable[..., None], *args: object, **how: object) -> None:
        found = path.stat()
        seen.append(Look(stat.S_IMODE(found.st_mode), found.st_gid))
        change(*args, **how)

    monkeypatch.setattr(Path, "chmod", lambda path, mode: look(chmod, path, mode))
    monkeypatch.setattr(os, "chown", partial(look, chown))
    return seen


def dead_socket(path: Path) -> None:
    """Make a socket as a killed daemon leaves it."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_socket_has_exactly_its_mode(
    path: Path, started: list[UNIXSocketService], mode: int, umask: int
) -> None:
    """The umask has no effect on the mode and does not change."""
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
    """The mode is narrow between bind(2) and listen(2), too."""
    seen = spied(monkeypatch, path)
    started.append(listening := service(path, 0o600))
    listening.startService()
    assert [look.mode for look in seen] == [0o600]


@needs_root
def test_a_socket_for_a_group_is_nobodys_until_it_is_the_groups(
    path: Path, started: list[UNIXSocketService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members of the file's first group cannot connect in between."""
    seen = spied(monkeypatch, path)
    started.append(listening := service(path, 0o660, group=12345))
    listening.startService()
    assert seen == [Look(0, os.getegid()), Look(0, 12345)]  # before chown(2), before chmod(2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@needs_root
def test_the_socket_has_its_owner_and_group(path: Path, started: list[UNIXSocketService]) -> None:
    """The options name them."""
    started.append(listening := service(path, 0o660, 4321, 12345))
    listening.startService()
    assert (path.stat().st_uid, path.stat().st_gid) == (4321, 12345)


def test_a_socket_that_cannot_be_given_away_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what is required; no file is left."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", forbidden)
    with pytest.raises(SocketError, match="s.sock cannot be given to .* only root or a member"):
        service(path, 0o660, group=1).startService()
    assert list(path.parent.iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_stopping_removes_the_socket_and_its_lock(path: Path) -> None:
    """Nothing is left in the directory."""
    listening = service(path)
    listening.startService()
    await listening.stopService()
    assert list(path.parent.iterdir()) == []


def test_a_stale_socket_is_replaced(path: Path, started: list[UNIXSocketService]) -> None:
    """A killed daemon's socket does not stop the next daemon."""
    dead_socket(path)
    started.append(listening := service(path))
    listening.startService()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_stale_lock_file_is_no_lock(path: Path, started: list[UNIXSocketService]) -> None:
    """Only a living process can hold the lock; the file's content does not matter."""
    path.with_name(path.name + ".lock").write_text(str(os.getpid()))
    started.append(listening := service(path))
    listening.startService()
    assert path.is_socket()


def test_a_hundred_killed_ones_keep_nobody_out(path: Path) -> None:
    """A daemon can listen, at whatever moment its predecessor was killed."""
    command = [sys.executable, "-c", KILLED, str(path), "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["listened"] * 100, done.stderr


def test_a_second_daemon_is_refused(path: Path, started: list[UNIXSocketService]) -> None:
    """The error is one sentence that names the socket; the first daemon goes on."""
    started.append(first := service(path))
    first.startService()
    with pytest.raises(SocketError, match="Another daemon already serves .*s.sock; stop it"):
        service(path).startService()
    assert path.is_socket()


def test_another_programs_socket_is_not_stolen(path: Path) -> None:
    """A live socket without our lock belongs to another program."""
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
    """A wrong path destroys no file."""
    path.write_text("precious")
    with pytest.raises(SocketError, match="is not a socket"):
        service(path).startService()
    assert path.read_text() == "precious"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(SocketError, match=r"The directory .*nowhere does not exist; make it"):
        service(tmp_path / "nowhere" / "s.sock").startService()


def test_a_directory_that_anybody_may_write_to_is_refused(path: Path) -> None:
    """A user who can replace the socket can impersonate the daemon."""
    path.parent.chmod(0o777)
    with pytest.raises(SocketError, match=r"Anybody may replace files in .*chmod o-w"):
        service(path).startService()


def test_a_directory_like_tmp_is_good_enough(path: Path, started: list[UNIXSocketService]) -> None:
    """The sticky bit prevents users from replacing each other's files."""
    path.parent.chmod(0o1777)
    started.append(listening := service(path))
    listening.startService()
    assert path.is_socket()


def test_a_directory_that_may_not_be_entered_is_one_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the socket."""

    def forbidden(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", forbidden)
    with pytest.raises(SocketError, match=r"s\.sock cannot be opened: Permission denied\."):
        service(path).startService()


def test_a_long_path_is_refused_with_both_lengths(tmp_path: Path) -> None:
    """sun_path is short."""
    path = tmp_path / ("x" * MAX_SOCKET_PATH_BYTES)
    with pytest.raises(SocketError, match=rf"has {len(str(path))} bytes.* may have 107"):
        service(path).startService()


def test_a_refused_start_gives_the_lock_back(path: Path, started: list[UNIXSocketService]) -> None:
    """The failed start does not block the next one."""
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
    """A removed file is no error when the daemon stops."""
    listening = service(path)
    listening.startService()
    path.unlink()
    await listening.stopService()


def test_the_lock_file_tells_the_process_id(path: Path, started: list[UNIXSocketService]) -> None:
    """Scripts can send a signal to that process."""
    path.with_name(path.name + ".lock").write_text("12345678901234567890, from before")
    started.append(listening := service(path))
    listening.startService()
    assert path.with_name(path.name + ".lock").read_text() == f"{os.getpid()}\n"


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
    """Open connections stay when the daemon stops accepting."""

    class Waiting(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(b"still here")

    source = SocketFile(str(path), 0o600)
    made = Factory.forProtocol(Waiting)
    listening = UNIXSocketService(RKLLMServerEndpoint(reactor, source), made)
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
