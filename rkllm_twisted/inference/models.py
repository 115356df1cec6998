"""Finds the profile of the model that a request is for. It blocks; used in threads."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.abi.release import Release
from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.model import OpenTemplate
from rkllm_twisted.errors import InternalError, InvalidParams, LibraryError, RPCError
from rkllm_twisted.inference.profile import ModelProfile, ProfileReader, bare_profile
from rkllm_twisted.interfaces import INPU
from rkllm_twisted.models.catalogue import Catalogue
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.offload.template import TemplateProcess

#: Profiles that are kept. A vocabulary has up to a hundred megabytes.
KEPT_PROFILES = 2

AdaptProfile = Callable[[ModelProfile], ModelProfile]


class Profiles:
    """The profiles of models, read once for each load of a model.

    :param catalogue: the models of --model-dir.
    :param has_directories: False if there is no --model-dir; then any model may be loaded.
    :param catalogue_of: makes the catalogue of another directory.
    :param open_template: see :class:`ProfileReader`.
    :param adapt: returns the profile to use in place of one that was read.
    """

    def __init__(
        self,
        npu: INPU,
        catalogue: Catalogue,
        has_directories: bool,
        catalogue_of: Callable[[str], Catalogue],
        open_template: OpenTemplate = TemplateProcess,
        adapt: AdaptProfile | None = None,
    ) -> None:
        self._adapt = adapt
        self._npu = npu
        self._release: Release = npu.release
        self._catalogue = catalogue
        self._has_directories = has_directories
        self._catalogue_of = catalogue_of
        self._reader = ProfileReader(open_template)
        self._kept: OrderedDict[object, ModelProfile | RPCError] = OrderedDict()

    @property
    def remedy(self) -> str:
        """The advice for a client that needs a model while none is loaded."""
        if self._has_directories:
            return "give the name of one as model, or load one with rkllm.init"
        return "load one with rkllm.init"

    def loaded(self, path: str, context: int, loads: int) -> ModelProfile:
        """Return the profile of the loaded model.

        :param path: the path that it was loaded by.
        :param context: its room in tokens.
        :param loads: how many models were loaded before: the files may have changed since.
        :raises RPCError: a file beside the model cannot be used.
        """
        return self._known((path, context, loads), lambda: self._read_loaded(path, context))

    def named(self, name: str, path: str | None, context: int | None) -> ModelProfile:
        """Return the profile of a model by its name. It need not be loaded.

        :param path: the path of the loaded model; None if there is none.
        :param context: the room of that model in tokens.
        :raises InvalidParams: no model has the name, or it cannot be loaded.
        :raises RPCError: a file beside the model cannot be used.
        """
        model = self._catalogue.find(name)
        model.check()
        if context is None or model.path != path:
            prepared: Any = self._npu.prepare("rkllm_init", [model.init_param(self._release)])
            context = int(prepared.checked.model_limits.max_context_len)
        room = context
        key = (model.path, context, model.identity, model.template, repr(model))
        return self._known(key, lambda: self._reader.read(self._catalogue, model, room))

    def _known(self, key: object, read: Callable[[], ModelProfile]) -> ModelProfile:
        """Return a profile, or raise the error that reading it raised before."""
        if key not in self._kept:
            try:
                profile = read()
                self._kept[key] = profile if self._adapt is None else self._adapt(profile)
            except ExtraMissingError as error:
                self._kept[key] = InternalError(str(error), {"package": error.name})
            except RPCError as error:
                self._kept[key] = error
            while len(self._kept) > KEPT_PROFILES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        found = self._kept[key]
        if isinstance(found, RPCError):
            raise type(found)(found.message, found.data)
        return found

    def _read_loaded(self, path: str, context: int) -> ModelProfile:
        catalogue = self._catalogue if self._has_directories else self._catalogue_beside(path)
        model = _at(path, catalogue)
        if model is None:
            return bare_profile(path, context)
        profile = self._reader.read(catalogue, model, context)
        return attrs.evolve(profile, path=path)

    def _catalogue_beside(self, path: str) -> Catalogue:
        """Return the models in the folder of the loaded model.

        :raises InvalidParams: the folder is gone, or cannot be read.
        """
        folder = os.fspath(Path(path).parent)
        try:
            return self._catalogue_of(folder)
        except LibraryError:
            raise InvalidParams(
                f"The folder of the loaded model, {folder}, is gone or cannot be read; put it back"
                " and load the model again, or load another one.",
                {"parameter": "model", "model": path},
            ) from None


def _at(path: str, catalogue: Catalogue) -> NamedModel | None:
    """Return the model with this file, whatever path leads to it."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    wanted = (status.st_dev, status.st_ino)
    for model in catalogue.listing().models:
        if (model.identity.device, model.identity.inode) == wanted:
            return model
    return None
