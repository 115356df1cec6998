"""The functions of :mod:`~rkllm_twisted.client_core.methods` for the models in ``--model-dir``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rkllm_twisted.client_core.call import MethodCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from rkllm_twisted.client_core.fields import RKLLMParam, RKLLMParamFields
    from rkllm_twisted.client_core.model_results import (
        ModelDetails,
        ModelListing,
        ModelLoaded,
        ModelUnloaded,
    )


def list_models() -> MethodCall[ModelListing]:
    """Return the models in the daemon's ``--model-dir``, by name, and what cannot be one."""
    from rkllm_twisted.client_core.model_results import listing_of  # noqa: PLC0415 - see methods

    return MethodCall("models.list", None, listing_of)


def show_model(
    model: str, digest: bool = False, *, timeout: float | None = None
) -> MethodCall[ModelDetails]:
    """Return all that is known of a model without loading it.

    :param model: a name or an alias.
    :param digest: read the whole file for its digest, unless that is known. It takes seconds.
    :param timeout: seconds to wait; None means the client's own timeout.
    :raises InvalidParams: if no model has the name, or several do.
    """
    from rkllm_twisted.client_core.model_results import details_of  # noqa: PLC0415 - see methods

    return MethodCall("models.show", {"model": model, "digest": digest}, details_of, timeout)


def load_model(
    model: str,
    *,
    param: RKLLMParam | Mapping[str, Any] | None = None,
    timeout: float | None = None,
    **fields: Unpack[RKLLMParamFields],
) -> MethodCall[ModelLoaded]:
    """Load a model by its name, unless it is loaded with the same parameters.

    It waits for the runs of the loaded model, which is then destroyed.

    :param model: a name or an alias.
    :param param: fields of RKLLMParam, in place of those in the model's ``rkllm.toml``.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param fields: the same, as single fields, such as ``max_context_len=4096, top_k=1``.
    :raises InvalidParams: if no model has the name, several do, or a field is wrong.
    :raises RuntimeRefused, RuntimeCrashed, TimedOut: if the runtime could not load it.
    """
    from rkllm_twisted.client_core.model_results import loaded_of  # noqa: PLC0415 - see methods

    whole: Mapping[str, Any] = {**(param or {}), **fields}
    given = {name: value for name, value in whole.items() if value is not None}
    return MethodCall("models.load", {"model": model, "param": given or None}, loaded_of, timeout)


def unload_model(model: str | None = None) -> MethodCall[ModelUnloaded]:
    """Unload the model, after the runs that are queued already.

    :param model: the model that must be the loaded one; None: whatever model is loaded.
    :raises NoModel: if none is loaded.
    :raises InvalidParams: if another is.
    """
    from rkllm_twisted.client_core.model_results import unloaded_of  # noqa: PLC0415 - see methods

    return MethodCall("models.unload", {"model": model}, unloaded_of)
