"""Lists the models in the directories of --model-dir, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import attrs

from rkllm_twisted.abi.layouts import Layout
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.models.directories import ModelDirectories, ModelFile
from rkllm_twisted.models.file_cache import FileCache
from rkllm_twisted.models.folder import ModelFolder
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.names import NameIndex
from rkllm_twisted.models.scan import Scanner

#: The kinds of files that the vendor's library may load; an unknown file may be an RKLLM model.
NPU_LOADS = frozenset({"rkllm", "unknown"})
#: The kinds that the embedded runtimes load.
CPU_LOADS = frozenset({"gguf", "script"})
#: The first words of the embedded runtimes' backends.
_EMBEDDED = ("cpu", "llama")


def loaded_kinds(backend: str) -> Collection[str]:
    """Return the kinds of files that a runtime loads.

    :param backend: see :class:`~rkllm_twisted.values.RuntimeVersion`.
    """
    return CPU_LOADS if backend.startswith(_EMBEDDED) else NPU_LOADS


@attrs.frozen
class Listing:
    """The contents of the directories at one moment.

    :param models: the models by name, in order.
    :param problems: why files are left out, a sentence each.
    """

    models: tuple[NamedModel, ...]
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> NamedModel:
        """Return the model of a name or an alias; see :meth:`NameIndex.find`.

        :raises InvalidParams: no model has the name, or several have it.
        """
        found = NameIndex([model.name for model in self.models], self._aliases()).find(name)
        return next(model for model in self.models if model.name == found)

    def _aliases(self) -> Mapping[str, Sequence[str]]:
        aliases: dict[str, list[str]] = {}
        for model in self.models:
            for alias in dict.fromkeys(model.settings.aliases):
                aliases.setdefault(alias, []).append(model.name)
        return aliases

    def clashes(self) -> Iterator[str]:
        """Yield a sentence for each alias that also means another model."""
        names = {model.name for model in self.models}
        for alias, owners in self._aliases().items():
            if alias in names and owners != [alias]:
                yield f"The alias {alias} of {', '.join(owners)} is the name of another model."
            elif len(owners) > 1:
                yield f"The alias {alias} is claimed by {', '.join(owners)}, and means none."


class Catalogue:
    """Models by name.

    Each call reads the directories anew; the contents of a file are cached until the file changes.
    Every method blocks, and may be called in any thread.

    :param directories: the directories of the options.
    :param layout: the layout of the loaded release; it decides what ``rkllm.toml`` may hold.
    :param loads: the kinds of files that the runtime loads, by
        :attr:`~rkllm_twisted.formats.file_kind.FileKind.name`.
    """

    def __init__(
        self, directories: ModelDirectories, layout: Layout, loads: Collection[str] = NPU_LOADS
    ) -> None:
        self._directories = directories
        self._cache = FileCache()
        self._scanner = Scanner(layout, loads, self._cache)

    def listing(self) -> Listing:
        """Return all models, also those that cannot be loaded, with their problems."""
        found: dict[str, NamedModel] = {}
        problems: list[str] = []
        for model in self._scan(problems):
            other = found.setdefault(model.name, model)
            if other is not model:
                problems.append(
                    f"{model.path} is left out: {other.path} has the same name and goes first."
                )
        if not self._directories.paths:
            problems.append(
                "No --model-dir is given: models have no names, rkllm.init takes their paths."
            )
        listing = Listing(tuple(found[name] for name in sorted(found)))
        return attrs.evolve(listing, problems=(*problems, *listing.clashes()))

    def _scan(self, problems: list[str]) -> Iterator[NamedModel]:
        for number in range(len(self._directories.paths)):
            flat = self._scanner.scan(ModelFolder(self._directories, number))
            problems += flat.problems
            for name in flat.folders:
                inner = self._scanner.scan(ModelFolder(self._directories, number, name))
                problems += inner.problems
                yield from inner.models
            yield from flat.models

    def find(self, name: str) -> NamedModel:
        """Return the model that a name means.

        :raises InvalidParams: no model has the name (the text names close ones), or several do.
        """
        return self.listing().find(name)

    def known_digest(self, model: NamedModel) -> str | None:
        """Return the SHA-256 of the model's file if it is known; do not read the file."""
        return self._cache.known_digest(model.identity)

    def digest(self, model: NamedModel, is_cancelled: Callable[[], bool] = lambda: False) -> str:
        """Return the SHA-256 of the model's file in hexadecimal. The first call reads all of it.

        :param is_cancelled: called every few megabytes.
        :raises Cancelled: ``is_cancelled`` returned True.
        :raises InvalidParams: the file changed meanwhile, or cannot be read.
        """
        try:
            return self._cache.digest(self.open(model), is_cancelled)
        except OSError as error:
            raise _unreadable(model, error) from None

    def open(self, model: NamedModel) -> ModelFile:
        """Open the model's own file.

        :raises InvalidParams: it cannot be read.
        """
        try:
            return self._directories.open(*model.place)
        except OSError as error:
            raise _unreadable(model, error) from None

    def read_beside(self, model: NamedModel, role: str, limit: int) -> bytes | None:
        """Return the content of a file beside a model; None if the model has no such file.

        :param role: a role of :mod:`rkllm_twisted.models.companions`.
        :param limit: the largest size in bytes.
        :raises InvalidParams: the file is larger, or cannot be read.
        """
        path = next(iter(model.companions.get(role, ())), None)
        if path is None:
            return None
        number, own = model.place
        try:
            file = self._directories.open(number, str(PurePosixPath(own).parent / Path(path).name))
            problem = f"is larger than {limit} bytes" if file.identity.size > limit else None
            data = b"" if problem else file.read(0, limit)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem is not None:
            raise InvalidParams(f"{path} {problem}.", {"parameter": "model", "model": model.name})
        return data


def _unreadable(model: NamedModel, error: OSError) -> InvalidParams:
    return InvalidParams(
        f"{model.path} cannot be read: {error.strerror}.",
        {"parameter": "model", "model": model.name},
    )
