"""Loads a model, and shows a progress line on a terminal."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.terminal import waiting
from rkllm_twisted.errors import (
    InvalidParams,
    MethodNotFound,
    NoAnswer,
    NotAllowed,
    RPCError,
    Unreachable,
)

# The library cannot stop a load, so a person that gives up must know that the model will be there.
STILL_LOADING = (
    "The daemon continues to load {name}, because loading cannot be stopped; `rkllm status` shows"
    " when the model is loaded, and `rkllm destroy` unloads it then."
)
#: The longest wait for the daemon's status after a person has given up.
STATUS_TIMEOUT_S = 2.0


def load(client: Client, model: str, params: Mapping[str, Any] | None = None) -> None:
    """Load a model.

    :param model: the path of a file, relative to the working directory, or else a name.
    :param params: further fields of RKLLMParam.
    :raises KeyboardInterrupt, NoAnswer: on Ctrl-C or a timeout; with a sentence if the daemon still
        loads the model.
    """
    name = Path(model).name
    try:
        with waiting(f"Loading {name}"):
            if is_path(model) or not _load_by_name(client, model, params or {}):
                client.init(model, **(params or {}))
    except (KeyboardInterrupt, NoAnswer) as error:
        if _is_loading(client):
            raise type(error)(STILL_LOADING.format(name=name)) from None
        raise
    except (InvalidParams, NotAllowed) as error:
        raise _explained(client, model, error) from None


def is_path(model: str) -> bool:
    """True if a word means a file, whether it exists or not; else it may be the name of a model."""
    exists = os.path.exists(model)  # noqa: PTH110 - never raises, whatever the word is
    return exists or model.startswith(("/", "./", "../"))


def _load_by_name(client: Client, name: str, params: Mapping[str, Any]) -> bool:
    """Load a model by its name.

    :returns: False if the daemon is older, and knows no names.
    :raises InvalidParams: no model has the name, or it cannot be loaded.
    """
    try:
        client.load_model(name, param=params)
    except MethodNotFound:
        return False
    except InvalidParams as error:
        if (error.data or {}).get("close") != []:
            raise
        raise InvalidParams(
            f"{name} is no file here, and no name of a model in the daemon's --model-dir; `rkllm"
            " models` lists those.",
            error.data,
        ) from None
    return True


def _explained(client: Client, path: str, error: RPCError) -> RPCError:
    """Add to the daemon's refusal that the file exists, if this user can see it.

    A daemon under systemd may see other directories (ProtectHome, PrivateTmp, a container).
    """
    data = error.data or {}
    has_seen = "kind" in data  # the daemon has read the file, and says what is wrong with it
    if data.get("parameter") != "param.model_path" or has_seen or not os.path.isfile(path):  # noqa: PTH113 - never raises
        return error
    hint = (
        f" The file exists, but the daemon ({_daemon_account(client)}) cannot use it: put models"
        " where the daemon may read them, such as /var/lib/rkllm/models."
    )
    return type(error)(error.message + hint, error.data)


def _daemon_account(client: Client) -> str:
    """Return the user and the process of the daemon, as far as they are known."""
    pid = client.status().pid
    try:
        user = pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
    except (OSError, KeyError):
        user = "its user"
    return f"{user}, process {pid}"


def ensure_loaded(client: Client, model: str, is_forced: bool) -> None:
    """Load a model unless it is loaded, because loading takes long and clears every history.

    :param model: see :func:`load`.
    :param is_forced: load it even if it is loaded.
    """
    is_loaded = _is_loaded(client, model)
    if is_loaded and is_forced and not is_path(model):
        client.unload_model(model)  # what is loaded alike would not be loaded again
    if is_forced or not is_loaded:
        load(client, model)


def _is_loaded(client: Client, model: str) -> bool:
    status = client.status()
    if status.state not in ("loaded", "running") or status.model_path is None:
        return False
    if os.path.realpath(status.model_path) == os.path.realpath(model):
        return True
    if is_path(model):
        return False
    try:
        return client.show_model(model).loaded
    except (InvalidParams, MethodNotFound):
        return False


def _is_loading(client: Client) -> bool:
    """Return True if the daemon is loading. A load that was still queued has been cancelled."""
    try:
        state: object = client.call("server.status", timeout=STATUS_TIMEOUT_S)["state"]
    except (RPCError, Unreachable):
        return False
    return state == "loading"
