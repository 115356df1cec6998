"""Serves the catalogue of models to the methods, from threads of the reactor's pool."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from threading import Event
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface, implementer

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.interfaces import INPU
from rkllm_twisted.models.catalogue import Catalogue, loaded_kinds
from rkllm_twisted.models.directories import ModelDirectories
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.summary import details, summary
from rkllm_twisted.vision_interfaces import EncoderFacts

_T = TypeVar("_T")


class IModels(Interface):
    """The models in the directories of --model-dir, for methods.

    Methods use it in the reactor thread. Every Deferred may be cancelled: reading a file then ends
    soon.
    """

    catalogue = Attribute("Catalogue: the models in the directories; it blocks.")
    has_directories = Attribute("bool: False if there are none; then any file may be loaded.")

    def catalogue_of(*directories: str) -> Catalogue:
        """Return the models in other directories.

        :raises LibraryError: a directory does not exist.
        """

    def listing() -> Any:
        """List the models in the directories.

        :returns: a Deferred of the result of ``models.list``.
        """

    def show(name: str, digest: bool) -> Any:  # noqa: N805 - a zope interface has no self
        """Describe one model.

        :param name: its name or an alias.
        :param digest: True to read the whole file for its digest, unless that is known.
        :returns: a Deferred of the result of ``models.show``; it fails with InvalidParams if no
            model has the name, or several do.
        """

    def find(name: str) -> Any:  # noqa: N805
        """Find a model that can be loaded.

        :param name: its name or an alias.
        :returns: a Deferred of the :class:`~rkllm_twisted.models.named_model.NamedModel`; it fails
            with InvalidParams if no model has the name, several do, or it cannot be loaded.
        """


@implementer(IModels)
class NamedModels:
    """The results of ``models.list`` and ``models.show``.

    :param directories: the directories of --model-dir; without any, no model has a name.
    :param reactor: its threads read the directories; a reactor without threads reads them itself.
    :param encoder: returns the vision encoder that is loaded; None if none is.
    :raises LibraryError: a directory does not exist.
    """

    def __init__(
        self,
        directories: Collection[str],
        npu: INPU,
        reactor: Any,
        encoder: Callable[[], EncoderFacts | None] = lambda: None,
    ) -> None:
        self._encoder = encoder
        self._npu = npu
        self._reactor = reactor
        self._release = npu.release
        self.has_directories = bool(directories)
        self.catalogue = self.catalogue_of(*directories)

    def catalogue_of(self, *directories: str) -> Catalogue:
        """See :meth:`IModels.catalogue_of`."""
        return Catalogue(
            ModelDirectories(directories),
            layout_of(self._release),
            loaded_kinds(self._npu.version().backend),
        )

    def listing(self) -> Deferred[Mapping[str, object]]:
        """See :meth:`IModels.listing`."""
        loaded, encoder = self._npu.status().model_path, self._encoder()
        return self._in_thread(lambda _: self._listing(loaded, encoder))

    def show(self, name: str, digest: bool) -> Deferred[Mapping[str, object]]:
        """See :meth:`IModels.show`."""
        loaded, encoder = self._npu.status().model_path, self._encoder()
        return self._in_thread(partial(self._show, name, digest, loaded, encoder))

    def find(self, name: str) -> Deferred[NamedModel]:
        """See :meth:`IModels.find`."""
        return self._in_thread(lambda _: self._find(name))

    def _find(self, name: str) -> NamedModel:
        model = self.catalogue.find(name)
        model.check()
        return model

    def _listing(self, loaded: str | None, encoder: EncoderFacts | None) -> Mapping[str, object]:
        listing = self.catalogue.listing()
        models = [
            summary(model, self.catalogue.known_digest(model), _is_file(model, loaded), encoder)
            for model in listing.models
        ]
        return {"models": models, "problems": list(listing.problems)}

    def _show(
        self,
        name: str,
        digest: bool,
        loaded: str | None,
        encoder: EncoderFacts | None,
        is_cancelled: Callable[[], bool],
    ) -> Mapping[str, object]:
        model = self.catalogue.find(name)
        found = (
            self.catalogue.digest(model, is_cancelled)
            if digest
            else self.catalogue.known_digest(model)
        )
        return details(model, found, _is_file(model, loaded), self._release, encoder)

    def _in_thread(self, work: Callable[[Callable[[], bool]], _T]) -> Deferred[_T]:
        """Do work in a thread.

        :param work: gets a function that returns True once the Deferred is cancelled.
        """
        if not IReactorThreads.providedBy(self._reactor):
            return maybeDeferred(work, lambda: False)
        cancelled = Event()
        pool = self._reactor.getThreadPool()
        result = deferToThreadPool(self._reactor, pool, work, cancelled.is_set)

        def stop(failure: Failure) -> Failure:
            cancelled.set()
            return failure

        return result.addErrback(stop)


def _is_file(model: NamedModel, path: str | None) -> bool:
    """True if a path leads to the model's file."""
    if path is None:
        return False
    try:
        status = os.stat(path)  # noqa: PTH116 - as C was given it
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (model.identity.device, model.identity.inode)
