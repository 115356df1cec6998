"""One folder with models: its names, as absolute paths and as files to open."""

from __future__ import annotations

import attrs

from rkllm_twisted.models.directories import DirectoryEntry, ModelDirectories, ModelFile


@attrs.frozen
class ModelFolder:
    """A directory of --model-dir, or a folder in one.

    :param number: the directory's number.
    :param name: the folder's name in the directory; None for the directory itself.
    """

    directories: ModelDirectories
    number: int
    name: str | None = None

    def entries(self) -> list[DirectoryEntry]:
        """See :meth:`ModelDirectories.entries`."""
        return self.directories.entries(self.number, self.name or ".")

    def open(self, file: str) -> ModelFile:
        """See :meth:`ModelDirectories.open`."""
        return self.directories.open(self.number, self.below(file))

    def below(self, file: str) -> str:
        """Return the path of a file below the directory."""
        return file if self.name is None else f"{self.name}/{file}"

    @property
    def path(self) -> str:
        """The absolute path of the folder, in printable form."""
        root = self.directories.paths[self.number]
        return root if self.name is None else _shown(f"{root}/{self.name}")

    def path_of(self, file: str) -> str:
        """Return the absolute path of a file, in printable form."""
        return f"{self.path.rstrip('/')}/{_shown(file)}"


def _shown(name: str) -> str:
    """Return a name on one line, with escapes for what is not UTF-8 or not printable."""
    if name.isprintable():
        return name
    parts = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
    return "".join(parts)
