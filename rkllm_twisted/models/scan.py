"""Scans a folder for models and for the files beside each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

import attrs

from rkllm_twisted.abi.layouts import Layout
from rkllm_twisted.formats.file_kind import FileKind
from rkllm_twisted.models.beside import Beside
from rkllm_twisted.models.companions import BY_KIND, companions_of, role_of
from rkllm_twisted.models.directories import FileIdentity
from rkllm_twisted.models.file_cache import FileCache
from rkllm_twisted.models.folder import ModelFolder
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.names import is_usable

#: The endings of models, whatever the content of the file is.
MODEL_SUFFIXES = frozenset({".rkllm", ".gguf"})
#: The first bytes of models with any ending.
_MODEL_STARTS = (b"GGUF", b"#!rkllm-script ")
#: The endings of unfinished downloads.
_UNFINISHED = frozenset({".part", ".partial", ".incomplete", ".crdownload", ".download", ".tmp"})


@attrs.frozen
class Scanner:
    """Scans folders.

    :param layout: the layout of the loaded release of the runtime.
    :param loads: the names of :class:`FileKind` that the runtime can load.
    """

    layout: Layout
    loads: Collection[str]
    cache: FileCache

    def scan(self, folder: ModelFolder) -> FolderScan:
        """Scan a folder."""
        found = FolderScan(self, folder)
        found.look()
        return found


@attrs.define
class FolderScan:
    """The scan of one folder.

    :ivar models: the models in it.
    :ivar folders: the names of the folders in it.
    :ivar problems: why files were left out, a sentence each.
    """

    _scanner: Scanner
    _folder: ModelFolder
    models: list[NamedModel] = attrs.field(factory=list)
    folders: list[str] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    _names: list[str] = attrs.field(factory=list)
    _roles: dict[str, str] = attrs.field(factory=dict)
    _files: dict[str, tuple[FileIdentity, FileKind]] = attrs.field(factory=dict)

    def look(self) -> None:
        """Fill the lists."""
        try:
            entries = self._folder.entries()
        except OSError as error:
            self.problems.append(f"{self._folder.path} cannot be read: {error.strerror}.")
            return
        for entry in entries:
            if entry.problem is not None:
                self.problems.append(f"{self._folder.path_of(entry.name)} {entry.problem}.")
            elif entry.is_folder:
                self.folders.append(entry.name)
            elif entry.is_file:
                self._names.append(entry.name)
                self._sort(entry.name)
        stems = _stems(self._files)
        self.models = [self._model(file, stem, stems.values()) for file, stem in stems.items()]

    def _sort(self, name: str) -> None:
        """Add a file to the models or to the companions, by its kind."""
        role = role_of(name)
        if role is not None:
            self._roles[name] = role
            return
        try:
            found = self._look_inside(name)
        except OSError as error:
            self.problems.append(f"{self._folder.path_of(name)} cannot be read: {error.strerror}.")
            return
        if found is None:
            return
        if found[1].name in BY_KIND:
            self._roles[name] = BY_KIND[found[1].name]
        elif is_usable(name) and is_usable(self._folder.name or name):
            self._files[name] = found
        else:
            where = self._folder.path_of(name)
            self.problems.append(f"{where} has a name that no request could have; rename it.")

    def _look_inside(self, name: str) -> tuple[FileIdentity, FileKind] | None:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in _UNFINISHED:
            return None
        file = self._folder.open(name)
        if suffix not in MODEL_SUFFIXES and not file.read(0, 32).startswith(_MODEL_STARTS):
            return None
        return file.identity, self._scanner.cache.kind(file)

    def _model(self, file_name: str, stem: str, stems: Collection[str]) -> NamedModel:
        identity, kind = self._files[file_name]
        folder, alone = self._folder, len(stems) == 1
        companions = companions_of(stem, self._roles, stems, folder.name is not None or alone)
        beside = Beside(folder, self._names, self._scanner.cache, companions)
        beside.read(self._scanner.layout)
        problem = self._problem(kind)
        problems = [f"{folder.path_of(file_name)} {problem}."] if problem else []
        return NamedModel(
            name=folder.name if folder.name and alone else folder.below(stem),
            place=(folder.number, folder.below(file_name)),
            path=folder.path_of(file_name),
            identity=identity,
            file=kind,
            settings=beside.settings,
            companions={
                role: tuple(map(folder.path_of, names)) for role, names in beside.companions.items()
            },
            template=beside.template or (kind.header.template if kind.header else None),
            problems=(*problems, *beside.problems),
        )

    def _problem(self, kind: FileKind) -> str | None:
        if kind.problem is not None or kind.name in self._scanner.loads:
            return kind.problem
        return f"is {kind.words}, which the runtime that is in use does not read"


def _stems(files: Collection[str]) -> Mapping[str, str]:
    """Return each file's name without its ending, or with it if two files would have one name."""
    stems = {name: PurePosixPath(name).stem for name in files}
    count = Counter(stems.values())
    return {name: stem if count[stem] == 1 else name for name, stem in stems.items()}
