"""The functions of :mod:`~rkllm_twisted.client_core.methods` for the models in ``--model-dir``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rkllm_twisted.client_core.call import MethodCall

if TYPE_CHECKING:
    from rkllm_twisted.client_core.model_results import ModelDetails, ModelListing


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
