"""A UNIX socket at a path: opened safely, taken over when stale, never stolen, never left behind.

Neither Twisted's lock file (``wantPID``) nor a pid file is used: both lock the daemon out for ever
when the dead one's process id lives on in another process. The kernel's ``flock`` ends with its
holder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from zope.interface import implementer

from rkllm_twisted.errors import SocketError
from rkllm_twisted.interfaces import IListeningSocket
from rkllm_twisted.wire.socket_path import MAX_SOCKET_PATH_BYTES

#: A short queue makes clients fail with EAGAIN while the daemon is busy for a moment.
LISTEN_BACKLOG = 1024
#: chown(2)'s word for "leave it".
SAME_ID = -1


class SocketLock:
    """``flock`` on ``<path>.lock``: one daemon per socket path. The file holds the process id.

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
        # For a person that sends a signal; the daemon does not read it.
        os.ftruncate(self._fd, 0)
        os.write(self._fd, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._fd is not None:
            _unlink(self.path)
            os.close(self._fd)
            self._fd = None


@implementer(IListeningSocket)
class SocketFile:
    """A socket that the daemon makes, and removes.

    :param path: of the socket.
    :param mode: its permission bits, e.g. ``0o600``.
    :param owner: the number of the user that owns it; ``SAME_ID``: the user of this process.
    :param group: the number of its group, or ``SAME_ID``.
    """

    def __init__(self, path: str, mode: int, owner: int = SAME_ID, group: int = SAME_ID) -> None:
        self.path = Path(path).absolute()
        self._mode = mode
        self._owner = owner
        self._group = group
        self._lock = SocketLock(self.path)
        self._ours: tuple[int, int] | None = None

    def open(self) -> socket.socket:
        """See :meth:`IListeningSocket.open`."""
        try:
            _check_path(self.path)
            self._lock.acquire()
            _make_way(self.path)
            return self._listening()
        except OSError as error:
            self.close()
            raise SocketError(
                f"The socket {self.path} cannot be opened: {error.strerror}."
            ) from None
        except BaseException:
            self.close()
            raise

    def check(self) -> str:
        """Check that the socket could be made here; change nothing.

        :returns: a remark for the report of ``--check``, or an empty text.
        :raises SocketError: it could not.
        """
        _check_path(self.path)
        if not os.access(self.path.parent, os.W_OK | os.X_OK, effective_ids=True):
            raise SocketError(
                f"Nothing may be made in the directory {self.path.parent}; choose another path with"
                " --socket."
            )
        if os.geteuid() != 0 and not (
            self._owner in (SAME_ID, os.geteuid())
            and self._group in (SAME_ID, os.getegid(), *os.getgroups())
        ):
            raise self._not_ours_to_give()
        return " (another program listens there now)" if _is_served(self.path) else ""

    def _listening(self) -> socket.socket:
        """Make the socket. No user can connect before the file has its final permissions."""
        opened = socket.socket(socket.AF_UNIX)
        try:
            before = os.umask(0o777 if self._changes_hands() else 0o777 & ~self._mode)
            try:
                opened.bind(os.fspath(self.path))
            finally:
                os.umask(before)
            self._ours = _identity(self.path)
            if self._changes_hands():
                self._hand_over()
            self.path.chmod(self._mode)
            opened.listen(LISTEN_BACKLOG)
        except BaseException:
            opened.close()
            raise
        return opened

    def _changes_hands(self) -> bool:
        return (self._owner, self._group) != (SAME_ID, SAME_ID)

    def _hand_over(self) -> None:
        try:
            os.chown(self.path, self._owner, self._group, follow_symlinks=False)
        except PermissionError:
            raise self._not_ours_to_give() from None

    def _not_ours_to_give(self) -> SocketError:
        return SocketError(
            f"The socket {self.path} cannot be given to the user of --owner or the group of"
            " --group: only root may do the first, and the second only root or a member."
        )

    def unlink(self) -> None:
        """See :meth:`IListeningSocket.unlink`: unless another's stands there by now."""
        if self._ours is not None and _identity(self.path) == self._ours:
            _unlink(self.path)
        self._ours = None

    def close(self) -> None:
        """See :meth:`IListeningSocket.close`."""
        self.unlink()
        self._lock.release()


def _check_path(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SocketError(
            f"The socket's path has {len(os.fsencode(path))} bytes, and a UNIX socket's may have"
            f" {MAX_SOCKET_PATH_BYTES}: choose a shorter one with --socket than {path}."
        )
    if not path.parent.is_dir():
        raise SocketError(
            f"The directory {path.parent} does not exist; make it, or choose another path with"
            " --socket."
        )
    mode = path.parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise SocketError(
            f"Anybody may replace files in the directory {path.parent}, also the socket; forbid it"
            f" with `chmod o-w {path.parent}`, or choose another path with --socket."
        )


def _make_way(path: Path) -> None:
    """Remove a dead daemon's socket; refuse anything else at the path."""
    if _is_served(path):
        raise SocketError(
            f"Another program already listens on {path}; stop it, or choose another path with"
            " --socket."
        )
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _is_served(path: Path) -> bool:
    """True if a process listens on the socket at a path.

    :raises SocketError: the file is no socket.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{path} exists and is not a socket; choose another path with --socket.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(os.fspath(path)) != errno.ECONNREFUSED


def _unlink(path: Path) -> None:
    """Remove a file of ours, unless it is gone or the daemon has lost the right to remove it.

    The next start removes it then.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        path.unlink()


def _identity_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of the file at a path; None if there is none."""
    try:
        return _identity_of(path.lstat())
    except FileNotFoundError:
        return None
