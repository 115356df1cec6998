"""Loading a model, with something to look at meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.terminal import waiting
from rkllm_twisted.errors import NoAnswer, RPCError, Unreachable

#: Who gives up a load that has begun is told that it goes on (docs/develop/decisions.md).
GOES_ON = (
    "The daemon goes on loading {name}, which cannot be stopped half-way; `rkllm status` tells when"
    " it is there, and `rkllm destroy` unloads it then."
)
#: Seconds that somebody who has given up waits for one more answer.
BRIEFLY = 2.0


def load(client: Client, path: str, params: Mapping[str, Any] | None = None) -> None:
    """Load a model.

    :param path: the caller's, so a relative one is made absolute.
    :param params: further fields of RKLLMParam.
    :raises KeyboardInterrupt, NoAnswer: the person, or the client's timeout, has given up; with a
        sentence where the daemon loads all the same.
    """
    name = Path(path).name
    try:
        with waiting(f"Loading {name}"):
            client.init(path, **(params or {}))
    except (KeyboardInterrupt, NoAnswer) as given_up:
        if _is_loading(client):
            raise type(given_up)(GOES_ON.format(name=name)) from None
        raise


def _is_loading(client: Client) -> bool:
    """Is the load under way? One that waited for its turn has been cancelled."""
    try:
        state: object = client.call("server.status", timeout=BRIEFLY)["state"]
    except (RPCError, Unreachable):
        return False
    return state == "loading"
