"""Reads the directories of --model-dir, and follows no link that leads out of them.

The rules are those of :mod:`rkllm_twisted.runtime.files`, which opens the same files for C later.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

import attrs

from rkllm_twisted.runtime import openat2
from rkllm_twisted.runtime.files import Descriptor, Root

#: The most entries of a folder that are read; the others are left out, with a note.
MAX_ENTRIES = 4096

#: The reason why the kernel does not open a link, for :attr:`DirectoryEntry.problem`.
_LINK_PROBLEMS = {
    errno.EXDEV: "is a link that leads out of the directory of --model-dir",
    errno.ENOENT: "is a link that leads to nothing",
    errno.ELOOP: "is a link, and is not followed: it goes in a circle, or the kernel cannot keep it"
    " inside the directory",
}


@attrs.frozen
class FileIdentity:
    """The values that change with a file's content.

    :param size: in bytes.
    :param modified_ns: nanoseconds since 1970.
    """

    device: int
    inode: int
    size: int
    modified_ns: int


@attrs.frozen
class DirectoryEntry:
    """One name in a folder.

    :param problem: why it is neither file nor folder, in words that follow its name.
    """

    name: str
    is_file: bool = False
    is_folder: bool = False
    problem: str | None = None


@attrs.frozen
class ModelFile:
    """A regular file that is open for reading as long as a reference to this object exists."""

    descriptor: Descriptor = attrs.field(repr=False)
    identity: FileIdentity

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from an offset; fewer at the end of the file.

        :raises OSError: the file cannot be read.
        """
        return os.pread(self.descriptor.fd, length, offset)

    def is_unchanged(self) -> bool:
        """True if the file has not changed since it was opened."""
        return _identity_of(self.descriptor.fd) == self.identity


class ModelDirectories:
    """Numbered directories, and their contents.

    :param names: the directories' names in the options.
    :param opener: see :mod:`rkllm_twisted.runtime.openat2`.
    :raises LibraryError: there is no such directory.
    """

    def __init__(self, names: Sequence[str], opener: openat2.Opener | None = None) -> None:
        self._roots = [Root.at(name) for name in names]
        self._open = opener or openat2.opener()

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the absolute path of each directory."""
        return tuple(root.names[0] for root in self._roots)

    def entries(self, number: int, folder: str) -> list[DirectoryEntry]:
        """Return the entries of a folder, by name, without those that begin with a dot.

        :param number: the directory's number.
        :param folder: the folder below the directory; ``.`` for the directory itself.
        :raises OSError: the folder cannot be read.
        """
        opened = Descriptor(self._below(number, folder, os.O_RDONLY | os.O_DIRECTORY))
        with os.scandir(opened.fd) as scan:
            found = sorted(
                ((item.name, item.is_symlink()) for item in scan if item.name[:1] != "."),
            )
        entries = [
            self._entry(number, folder, name, is_link) for name, is_link in found[:MAX_ENTRIES]
        ]
        if len(found) > MAX_ENTRIES:
            what = f"and what follows it is not looked at: {MAX_ENTRIES} files are the limit"
            entries.append(DirectoryEntry(found[MAX_ENTRIES][0], problem=what))
        return entries

    def open(self, number: int, path: str) -> ModelFile:
        """Open a file.

        :param path: the path below the directory.
        :raises OSError: the file cannot be read, is not regular, or a link leads out of the
            directory.
        """
        # The check comes before the open: to open a device or a pipe may have an effect.
        looked_at = Descriptor(self._below(number, path, os.O_PATH))
        if not stat.S_ISREG(os.fstat(looked_at.fd).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", path)
        opened = Descriptor(os.open(looked_at.path, os.O_RDONLY | os.O_CLOEXEC))
        return ModelFile(opened, _identity_of(opened.fd))

    def _below(self, number: int, path: str, flags: int) -> int:
        return self._open(self._roots[number].directory.fd, path, flags)

    def _entry(self, number: int, folder: str, name: str, is_link: bool) -> DirectoryEntry:
        try:
            looked_at = Descriptor(self._below(number, f"{folder}/{name}", os.O_PATH))
            mode = os.fstat(looked_at.fd).st_mode
        except OSError as error:
            known = _LINK_PROBLEMS.get(error.errno or 0) if is_link else None
            return DirectoryEntry(name, problem=known or f"cannot be read: {error.strerror}")
        return DirectoryEntry(name, stat.S_ISREG(mode), stat.S_ISDIR(mode))


def _identity_of(fd: int) -> FileIdentity:
    status = os.fstat(fd)
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
