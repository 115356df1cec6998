"""Reads files below a root: the machine's, or a test's."""

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
        """Return the text of a file without the white space around it; None if it cannot be read.

        :param name: the path below the root, without a slash in front.
        """
        try:
            return self.read(name).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def number(self, name: str) -> int | None:
        """Return the whole number in a file; None if there is none."""
        text = self.text(name)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        :raises OSError: it cannot be read.
        """
        return (self.root / name).read_bytes()

    def is_forbidden(self, name: str) -> bool:
        """True if permissions prevent reading the file."""
        try:
            self.read(name)
        except PermissionError:
            return True
        except OSError:
            return False
        return False

    def exists(self, name: str) -> bool:
        """True if there is such a file or directory."""
        return os.path.lexists(self.root / name)

    def is_link(self, name: str) -> bool:
        """True if it is a symbolic link."""
        return (self.root / name).is_symlink()

    def stat(self, name: str) -> os.stat_result | None:
        """Return owner and mode of a file; None if there is none."""
        try:
            return (self.root / name).stat()
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """Return the names that match a pattern, sorted."""
        try:
            return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
        except OSError:
            return []
