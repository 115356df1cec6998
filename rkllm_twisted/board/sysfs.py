"""The files of a machine, below a root that a test can make."""

from __future__ import annotations

import os
from pathlib import Path

import attrs


@attrs.frozen
class RootedFiles:
    """The files below a root.

    :param root: ``/``, or a directory that a test has filled.
    """

    root: Path = Path("/")

    def text(self, name: str) -> str | None:
        """What a file says, without the white space around it; None if it cannot be read.

        :param name: below the root, without a slash in front.
        """
        try:
            return self.read(name).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def number(self, name: str) -> int | None:
        """The whole number that a file consists of; None if there is none."""
        text = self.text(name)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        :raises OSError: it cannot be read.
        """
        return (self.root / name).read_bytes()

    def is_forbidden(self, name: str) -> bool:
        """Is it the permissions that keep a file from being read?"""
        try:
            self.read(name)
        except PermissionError:
            return True
        except OSError:
            return False
        return False

    def exists(self, name: str) -> bool:
        """Is there such a file or directory, as far as one can see?"""
        return os.path.lexists(self.root / name)

    def is_link(self, name: str) -> bool:
        """Is it a symbolic link?"""
        return (self.root / name).is_symlink()

    def stat(self, name: str) -> os.stat_result | None:
        """Owner and mode of a file; None if there is none."""
        try:
            return (self.root / name).stat()
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """The names that fit a pattern, in order."""
        try:
            return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
        except OSError:
            return []
