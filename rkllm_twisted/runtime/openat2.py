"""Opens files below a directory, so that no link and no ``..`` leads out of it at any moment.

A path that is checked first and opened later may lead elsewhere by then: a user who can write to a
directory can put a symbolic link there in between. So the kernel walks and opens in one step
(openat2(2), Linux 5.6). If it cannot, each directory is opened from the one before, and no link is
followed: following links safely without the kernel's help is not possible.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Callable
from pathlib import PurePosixPath

#: The same number on every architecture.
SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH = 0x02, 0x08
RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
#: The kernel fails with EAGAIN if something is renamed while it walks; then it is tried again.
MAX_TRIES = 128
#: The errors of a kernel or a sandbox without openat2.
WITHOUT = frozenset({errno.ENOSYS, errno.EPERM})

#: Opens a relative name below a directory's descriptor, with flags of open(2).
Opener = Callable[[int, str, int], int]


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def open_with_openat2(directory: int, name: str, flags: int) -> int:
    """Open with openat2(2); links that stay below the directory are followed.

    :raises OSError: EXDEV if the name leads out.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE)
    path = os.fsencode(name)
    for _ in range(MAX_TRIES):
        size = ctypes.c_size_t(ctypes.sizeof(how))
        fd: int = _c().syscall(SYS_OPENAT2, directory, path, ctypes.byref(how), size)
        if fd >= 0:
            return fd
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


def open_componentwise(directory: int, name: str, flags: int) -> int:
    """Open with openat(2): no link is followed, and ``..`` is refused.

    :raises OSError: EXDEV for ``..`` and an absolute name, ELOOP or ENOTDIR for a link.
    """
    parts = PurePosixPath(name).parts or (".",)
    if ".." in parts or name.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    here = directory
    try:
        for part in parts[:-1]:
            below = _step(part, os.O_PATH | os.O_DIRECTORY, here)
            if here != directory:
                os.close(here)
            here = below
        return _step(parts[-1], flags, here)
    finally:
        if here != directory:
            os.close(here)


def _step(part: str, flags: int, directory: int) -> int:
    fd = os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    # With O_PATH a link itself is opened, where else open(2) fails.
    if stat.S_ISLNK(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)
    return fd


@functools.cache
def _c() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def opener() -> Opener:
    """Return the function that this kernel supports."""
    try:
        fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(open_with_openat2(fd, ".", os.O_PATH))
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in WITHOUT:
            return open_componentwise
        raise
    return open_with_openat2
