"""The daemon's UNIX socket: opened safely, taken over when stale, never stolen, never left behind.

Twisted's own lock file (``wantPID``) is not used: it locks the daemon out for ever when the dead
one's process id lives on in another process. The kernel's ``flock`` ends with its holder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from twisted.application.service import Service
from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory, IReactorUNIX
from twisted.python.failure import Failure

from rkllm_twisted.errors import SocketError
from rkllm_twisted.server.descriptors import make_room

#: sun_path of Linux holds 108 bytes, the last of them NUL (unix(7)).
MAX_PATH_BYTES = 107
#: A short queue makes clients fail with EAGAIN while the daemon is busy for a moment.
BACKLOG = 1024


class OwnedPort(unix.Port):
    """A listening UNIX socket that has its mode from the start and removes only itself."""

    def startListening(self) -> None:
        """Bind with a umask that leaves no wider moment, and remember which file is ours."""
        before = os.umask(0o777 & ~self.mode)
        try:
            super().startListening()
        finally:
            os.umask(before)
        self._ours = _identity(Path(os.fsdecode(self._bindPath)))

    def connectionLost(self, reason: Failure) -> None:
        """Remove the socket's file, unless another daemon's stands there by now."""
        path = Path(os.fsdecode(self._bindPath))
        if _identity(path) == self._ours:
            path.unlink()
        tcp.Port.connectionLost(self, reason)


class SocketLock:
    """``flock`` on ``<path>.lock``: one daemon per socket path.

    :param path: of the socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        :raises SocketError: another process holds it.
        """
        while self._fd is None:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise SocketError(
                    f"Another daemon already serves {self.path.with_suffix('')}; stop it, or"
                    " choose another path with --socket."
                ) from None
            if _identity(self.path) == _identity_of(os.fstat(fd)):
                self._fd = fd
            else:  # the holder before us removed the file between our open and our flock
                os.close(fd)

    def release(self) -> None:
        """Give the lock back and remove its file, which is still ours."""
        if self._fd is not None:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            os.close(self._fd)
            self._fd = None


class UNIXSocketService(Service):
    """Listens on a UNIX socket for as long as it runs.

    :param path: of the socket.
    :param mode: permission bits of the socket, e.g. ``0o600``.
    :param descriptors: how many the process must be allowed to have open.
    """

    def __init__(
        self,
        reactor: IReactorUNIX,
        path: str,
        mode: int,
        factory: IProtocolFactory,
        descriptors: int = 0,
    ) -> None:
        self._reactor = reactor
        self.path = Path(path).absolute()
        self._mode = mode
        self._factory = factory
        self._descriptors = descriptors
        self._lock = SocketLock(self.path)
        self._port: OwnedPort | None = None

    def privilegedStartService(self) -> None:
        """Open the socket.

        :raises SocketError: it is in use or cannot be made, and what to do.
        """
        if self._port is not None:
            return
        _check_path(self.path)
        make_room(self._descriptors)
        try:
            self._lock.acquire()
            _make_way(self.path)
            port = OwnedPort(
                os.fsencode(self.path), self._factory, BACKLOG, self._mode, self._reactor
            )
            port.startListening()
        except OSError as error:
            self._lock.release()
            raise SocketError(
                f"The socket {self.path} cannot be opened: {error.strerror}."
            ) from None
        except BaseException:
            self._lock.release()
            raise
        self._port = port

    def startService(self) -> None:
        """Open the socket unless that has been done with more rights."""
        self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Take no more connections and remove the socket. The connections there are go on."""
        super().stopService()
        port, self._port = self._port, None
        stopped: Deferred[None] = maybeDeferred(port.stopListening if port else lambda: None)
        return stopped.addBoth(self._release)

    def _release(self, result: object) -> object:
        self._lock.release()
        return result


def _check_path(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SocketError(
            f"The socket's path has {len(os.fsencode(path))} bytes, and a UNIX socket's may have"
            f" {MAX_PATH_BYTES}: choose a shorter one with --socket than {path}."
        )
    if not path.parent.is_dir():
        raise SocketError(
            f"The directory {path.parent} does not exist; make it, or choose another path with"
            " --socket."
        )


def _make_way(path: Path) -> None:
    """Remove a dead daemon's socket; refuse where anything else is there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{path} exists and is not a socket; choose another path with --socket.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(os.fspath(path))
    if refused != errno.ECONNREFUSED:
        raise SocketError(
            f"Another program already listens on {path}; stop it, or choose another path with"
            " --socket."
        )
    path.unlink()


def _identity_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is at a path, by device and inode; None where there is none."""
    try:
        return _identity_of(path.lstat())
    except FileNotFoundError:
        return None
