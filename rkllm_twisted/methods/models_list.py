"""``models.list``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IRPCMethod
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod)
@attrs.frozen
class ModelsList:
    """Lists the models in the directories of --model-dir."""

    name = "models.list"
    summary = "The models in --model-dir, by name, and what cannot be one."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Look at the directories as they are now."""
        return call.daemon.models.listing()


models_list = ModelsList()
