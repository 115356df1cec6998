"""Checks which clients may make a run write a file."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.errors import NotAllowed
from rkllm_twisted.interfaces import IConversation
from rkllm_twisted.values import Params


def check_saving(conversation: IConversation, params: Params) -> None:
    """Check that a client that is no administrator names no file for C to write.

    :param params: of a run.
    :raises NotAllowed: the run is to save a prompt cache, and the client is no administrator.
    """
    if conversation.administers:
        return
    values = params.values() if isinstance(params, Mapping) else params or ()
    for value in values:
        if isinstance(value, Mapping) and value.get("prompt_cache_params") is not None:
            raise NotAllowed(
                "Saving a prompt cache is for this daemon's administrators; leave out"
                " prompt_cache_params.",
                {"parameter": "rkllm_infer_params.prompt_cache_params"},
            )
