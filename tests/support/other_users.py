"""Acting as another user: the kernel identifies a client by its effective user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

#: A user and groups that need not be in any list.
SOMEBODY, GROUP, OTHER_GROUP = 64001, 64002, 64003

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@contextmanager
def acting_as(uid: int, gid: int = GROUP, groups: Sequence[int] = ()) -> Iterator[None]:
    """Take another user's rights; the kernel reports that user for new connections."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that all users may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def names_in(directory: Path) -> list[str]:
    """The names in a directory."""
    return sorted(path.name for path in directory.iterdir())


def descriptors() -> list[str]:
    """The open descriptors of this process."""
    return names_in(Path("/proc/self/fd"))
