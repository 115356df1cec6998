"""``models.load``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method.

    :param model: a name or an alias.
    :param param: fields of RKLLMParam, in place of those in the model's rkllm.toml.
    :param stream: send an object with the state, waiting or loading, before the result.
    """

    model: str
    param: Mapping[str, Any] | None = None
    stream: bool = False


@implementer(IPlugin, IRPCMethod, IAdministrative, IUsesNPU)
@attrs.frozen
class ModelsLoad:
    """Loads a model by its name."""

    name = "models.load"
    summary = "Load a model by its name, unless it is loaded alike; the loaded one is destroyed."
    params = Params
    streams = True

    def call(self, call: ICall) -> object:
        """Wait for the runs under way, and load it."""
        wanted = call.params

        def on_progress(state: str) -> None:
            call.stream({"state": state})

        before = call.npu.status().loads
        loading = call.daemon.resident.load(
            wanted.model, wanted.param, call.conversation, on_progress if wanted.stream else None
        )
        return loading.addCallback(_loaded, before)


def _loaded(model: Any, before: int) -> Mapping[str, object]:
    """Return the result.

    :param model: the :class:`~rkllm_twisted.models.resident.CurrentModel`.
    :param before: the number of loads before the request.
    """
    was_loaded = model.load_number <= before
    return {
        "state": "loaded",
        "model": model.name,
        "param": model.param,
        "lora_adapters": list(model.lora_adapters),
        "load_time_s": 0.0 if was_loaded else round(model.load_time_s, 3),
    }


models_load = ModelsLoad()
