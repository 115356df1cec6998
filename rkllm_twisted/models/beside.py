"""Reads the files beside a model: its settings and its chat template."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import attrs

from rkllm_twisted.abi.layouts import Layout
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.models.directories import ModelFile
from rkllm_twisted.models.file_cache import FileCache
from rkllm_twisted.models.folder import ModelFolder
from rkllm_twisted.models.settings import MAX_SETTINGS_BYTES, ModelSettings, read_settings
from rkllm_twisted.models.template import template_in_config, template_in_file

#: The files that may hold a template, in the order of the search.
_TEMPLATES: Mapping[str, Callable[[ModelFile], str | None]] = {
    "template": template_in_file,
    "tokenizer_config": template_in_config,
}


@attrs.define
class Beside:
    """The files beside one model.

    :param names: the names of all files in the folder.
    :param companions: the model's own files, by role.
    :ivar template: the text of its chat template; None if there is no such file.
    :ivar problems: the faults of these files, a sentence each.
    """

    _folder: ModelFolder
    _names: Collection[str]
    _cache: FileCache
    companions: Mapping[str, tuple[str, ...]]
    settings: ModelSettings = attrs.field(factory=ModelSettings)
    template: str | None = None
    problems: list[str] = attrs.field(factory=list)

    def read(self, layout: Layout) -> None:
        """Read the files.

        :param layout: the layout of the loaded release of the runtime.
        """
        for name in self.companions.get("settings", ()):
            try:
                data = self._folder.open(name).read(0, MAX_SETTINGS_BYTES + 1)
                self.settings = read_settings(self._folder.path_of(name), data, layout)
            except (InvalidParams, OSError) as error:
                self._complain(name, error)
            self._find_named_files(name)
        for role, find in _TEMPLATES.items():
            for name in self.companions.get(role, ()):
                self.template = self.template or self._template(name, find)

    def _find_named_files(self, settings: str) -> None:
        named = self.settings.template
        if named is not None and self._is_beside(settings, "template", named):
            self.companions = {**self.companions, "template": (named,)}
        for name, adapter in self.settings.adapters.items():
            self._is_beside(settings, f"adapters.{name}.file", adapter.file)

    def _is_beside(self, settings: str, key: str, named: str) -> bool:
        """True if a file lies beside the model; else it is a problem."""
        if named in self._names:
            return True
        where = self._folder.path_of(settings)
        self.problems.append(f"{where}: {key}: {named} does not lie beside the model.")
        return False

    def _template(self, name: str, find: Callable[[ModelFile], str | None]) -> str | None:
        try:
            return self._cache.fact(self._folder.open(name), find)
        except (OSError, ValueError) as error:
            self._complain(name, error)
        return None

    def _complain(self, name: str, error: Exception) -> None:
        if isinstance(error, InvalidParams):  # has the file's name
            self.problems.append(error.message)
            return
        what = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else error
        self.problems.append(f"{self._folder.path_of(name)} {what}.")
