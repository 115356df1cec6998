"""``models.unload``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import (
    IAdministrative,
    ICall,
    INeedsModel,
    IRPCMethod,
    IUsesNPU,
)


@attrs.frozen
class Params:
    """The parameters of the method.

    :param model: the name or an alias of the model that must be the loaded one; null: whatever
        model is loaded.
    """

    model: str | None = None


@implementer(IPlugin, IRPCMethod, IAdministrative, INeedsModel, IUsesNPU)
@attrs.frozen
class ModelsUnload:
    """Unloads the model."""

    name = "models.unload"
    summary = "Unload the model, once the runs that were queued before have ended."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Queue the call for the NPU."""
        unloading = call.daemon.resident.unload(call.params.model, call.conversation)
        return unloading.addCallback(lambda model: {"model": model.name, "path": model.path})


models_unload = ModelsUnload()
