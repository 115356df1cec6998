"""Loads a model, and shows a progress line on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.terminal import waiting
from rkllm_twisted.errors import NoAnswer, RPCError, Unreachable

# The library cannot stop a load, so a person who gives up must know that the model will be there.
STILL_LOADING = (
    "The daemon continues to load {name}, because loading cannot be stopped; `rkllm status` shows"
    " when the model is loaded, and `rkllm destroy` unloads it then."
)
#: The longest wait for the daemon's status after a person has given up.
STATUS_TIMEOUT_S = 2.0


def load(client: Client, path: str, params: Mapping[str, Any] | None = None) -> None:
    """Load a model.

    :param path: a relative path is made absolute.
    :param params: further fields of RKLLMParam.
    :raises KeyboardInterrupt, NoAnswer: on Ctrl-C or a timeout; with a sentence if the daemon still
        loads the model.
    """
    name = Path(path).name
    try:
        with waiting(f"Loading {name}"):
            client.init(path, **(params or {}))
    except (KeyboardInterrupt, NoAnswer) as error:
        if _is_loading(client):
            raise type(error)(STILL_LOADING.format(name=name)) from None
        raise


def _is_loading(client: Client) -> bool:
    """Return True if the daemon is loading. A load that was still queued has been cancelled."""
    try:
        state: object = client.call("server.status", timeout=STATUS_TIMEOUT_S)["state"]
    except (RPCError, Unreachable):
        return False
    return state == "loading"
