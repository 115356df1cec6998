"""One folder with models: its names, as absolute paths and as files to open."""

from __future__ import annotations

import attrs

from rkllm_twisted.models.directories import DirectoryEntry, ModelDirectories, ModelFile


@attrs.frozen
class ModelFolder:
    """A directory of --model-dir, or a folder in one.

    :param number: of the directory.
    :param name: of the folder in it; None for the directory itself.
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
        """The path of a file below the directory."""
        return file if self.name is None else f"{self.name}/{file}"

    @property
    def path(self) -> str:
        """The absolute path of the folder, fit to be shown."""
        root = self.directories.paths[self.number]
        return root if self.name is None else _shown(f"{root}/{self.name}")

    def path_of(self, file: str) -> str:
        """The absolute path of a file, fit to be shown."""
        return f"{self.path.rstrip('/')}/{_shown(file)}"


def _shown(name: str) -> str:
    """A name as text on one line: what is not UTF-8 or not printable becomes an escape."""
    if name.isprintable():
        return name
    parts = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
    return "".join(parts)
