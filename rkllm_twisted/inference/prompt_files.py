"""The directory in which the daemon saves prompts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from pathlib import Path

import attrs

from rkllm_twisted.errors import StartupError
from rkllm_twisted.runtime.files import Descriptor

#: Below --cache-dir.
SUBDIRECTORY = "rkllm-prompts"
_OWN_NAME = re.compile(r"[0-9a-f]{32}")
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class FileStamp:
    """Shows that a file is as it was written.

    :param size: in bytes.
    :param changed: the time of its last change in nanoseconds.
    """

    device: int
    inode: int
    size: int
    changed: int


class PromptFiles:
    """The files that this process has written; no other is used.

    The files of an earlier process are of no use: nothing says which library has written them. The
    names are random, so that no client can name a file with another's text.

    :param directory: --cache-dir.
    """

    def __init__(self, directory: str) -> None:
        self._path = Path(directory, SUBDIRECTORY)
        self._directory: Descriptor | None = None

    def open(self) -> None:
        """Open the directory, and remove what an earlier process has left there.

        :raises StartupError: it cannot be used.
        """
        try:
            self._directory = self._open()
            for file in self._path.iterdir():
                if _OWN_NAME.fullmatch(file.name):
                    self.remove(str(file))
        except OSError as error:
            raise StartupError(f"{self._path}: {error.strerror}.") from None

    def new_path(self) -> str:
        """Return the path of a file that is not there yet."""
        return str(self._path / secrets.token_hex(16))

    def take(self, path: str) -> FileStamp | None:
        """Make a file private that was just written.

        :returns: its stamp; None if nothing was written.
        """
        with contextlib.suppress(OSError):
            Path(path).chmod(0o600)
        return self.stamp(path)

    def stamp(self, path: str) -> FileStamp | None:
        """Return the stamp of a file; None if there is none of this process's user."""
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return None
        return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(OSError):
            Path(path).unlink()

    def _open(self) -> Descriptor:
        """Open the directory, and lock it as long as this process lives."""
        with contextlib.suppress(FileExistsError):
            self._path.mkdir(mode=0o700)
        directory = Descriptor(os.open(self._path, _FLAGS))
        found = os.fstat(directory.fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(1, "it must be the daemon's own and have mode 0700")
        if not os.access(self._path, os.W_OK):
            raise PermissionError(13, "the daemon may not write to it")
        try:
            fcntl.flock(directory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(11, "another daemon uses it") from None
        return directory
