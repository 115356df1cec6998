"""A file that C writes: under a temporary name first, and in its place only when it is complete.

The temporary name is in a directory of its own beside the file's place, which only this user may
enter, so no other user can put a link there for C to follow. C gets a path through the directory's
descriptor, so renaming or replacing the directory has no effect. The file keeps its own name and
extension.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rkllm_twisted.abi.scalars import clip, param_error
from rkllm_twisted.abi.to_c import FileParameter

#: What the names of temporary directories begin with.
PREFIX = ".rkllm-"


@contextmanager
def saved_at(
    parent: int, name: str, file: FileParameter, on_saved: Callable[[bool], object] = bool
) -> Iterator[str]:
    """Yield a path to write to. The file there takes its place if no exception is raised.

    :param parent: the descriptor of the directory for the file.
    :param name: of the file, without any directory.
    :param file: the parameter that asks for it.
    :param on_saved: called at the end: True if there is a new file. An empty one is none: it is
        what a full disk leaves of it.
    :raises InvalidParams: the directory cannot be written to.
    """
    try:
        _sweep(parent)
        own = f"{PREFIX}{secrets.token_hex(8)}"
        os.mkdir(own, 0o700, dir_fd=parent)
        directory = _enter(parent, own)
    except OSError as error:
        raise param_error(file.path, f"{clip(file.name)}: {error.strerror}") from None
    try:
        yield f"/proc/self/fd/{directory}/{name}"
        try:
            saved = _put_in_place(parent, directory, name)
        except OSError as error:
            raise param_error(file.path, f"{clip(file.name)}: {error.strerror}") from None
        on_saved(saved)
    finally:
        _remove(parent, own, directory)


def _enter(parent: int, own: str) -> int:
    """Open the temporary directory and lock it, so that no other daemon removes it."""
    directory = os.open(
        own, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent
    )
    try:
        found = os.fstat(directory)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(1, "somebody else's directory took the place of ours")
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _put_in_place(parent: int, directory: int, name: str) -> bool:
    """Rename the file once it is on the disk: a power cut leaves the old one or the new.

    :returns: True if there is one that is not empty.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:  # C has written nothing
        return False
    try:
        if os.fstat(fd).st_size == 0:
            return False
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(name, name, src_dir_fd=directory, dst_dir_fd=parent)
    return True


def _remove(parent: int, own: str, directory: int) -> None:
    with contextlib.suppress(OSError):
        for left in _names_in(directory):
            os.unlink(left, dir_fd=directory)
        os.rmdir(own, dir_fd=parent)
    os.close(directory)


def _sweep(parent: int) -> None:
    """Remove what a process left that was killed while it wrote."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        left = [name for name in _names_in(fd) if name.startswith(PREFIX)]
    finally:
        os.close(fd)
    for name in left:
        with contextlib.suppress(OSError):  # another process's
            _remove(parent, name, _enter(parent, name))


def _names_in(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]
