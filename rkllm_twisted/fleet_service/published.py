"""What a board publishes of itself, and whether it may be given runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: States of a daemon in which its model can run, see NPUStatus.
READY_STATES = frozenset({"loaded", "running"})
#: Those that pass by themselves.
PASSING_STATES = frozenset({"closed", "failed", "loading"})
#: Members of the daemon's ``server.status`` that are published.
_PASSED_ON = (
    "state",
    "queue_length",
    "runs",
    "tokens",
    "loads",
    "crashes",
    "problem",
    "max_context_len",
    "max_new_tokens",
    "lora_adapters",
    "backend",
)
#: Members whose change alone is published; counts go along with the next change.
_CHANGES = (
    *("state", "model", "offered", "queue_length", "running"),
    *("loads", "crashes", "celsius", "problem", "entry"),
)
#: Why a board offers nothing whose daemon would let a conversation read another's history.
SHARED_HISTORY = (
    "The daemon has one history for all clients, so conversations would mix; start it with"
    " --history connection."
)


def model_name(status: Mapping[str, Any]) -> str | None:
    """Return the name by which the fleet knows the loaded model; None if none is loaded.

    :param status: the result of ``server.status``. A model that was loaded by its path has the name
        of its file, as ``twistd rkllm-http`` names it.
    """
    path = status.get("model_path")
    if path is None:
        return None
    file = str(path).rpartition("/")[2]
    name: str = status.get("model") or file.rpartition(".")[0] or file
    return name


def published(
    status: Mapping[str, Any],
    offered: str | None,
    under_way: int = 0,
    last_model: str | None = None,
    celsius: float | None = None,
) -> dict[str, Any]:
    """Return what a board publishes.

    :param status: the result of ``server.status``.
    :param offered: see :func:`offered_model`; None as well if the bridge is about to leave.
    :param under_way: runs that the bridge has given the daemon and that have not ended.
    :param last_model: the name of the model that was loaded before. Fronts let requests wait for it
        as long as it is likely to come back.
    :param celsius: the temperature of the NPU.
    """
    comes_back = status.get("problem") is not None or status.get("state") in PASSING_STATES
    model = model_name(status) or (last_model if comes_back else None)
    is_shared = has_shared_history(status)
    return {
        **{name: status.get(name) for name in _PASSED_ON},
        **({"problem": SHARED_HISTORY} if is_shared else {}),
        "model": None if is_shared else model,
        "offered": offered,
        "running": under_way > 0 or status.get("running") is not None,
        "celsius": None if celsius is None else round(celsius),
    }


def away(problem: str, model: str | None) -> dict[str, Any]:
    """Return what a board publishes while its daemon does not answer.

    :param problem: why, in one sentence.
    :param model: the name of the model that it had.
    """
    return {
        "state": "away",
        "model": model,
        "offered": None,
        "running": False,
        "queue_length": 0,
        "problem": problem,
    }


def has_changed(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    """True if there is something to publish."""
    return before is None or any(before.get(name) != now.get(name) for name in _CHANGES)


def loaded_of(status: Mapping[str, Any]) -> tuple[object, object]:
    """Return what the facts of the loaded model depend on: the load, and the vision encoder.

    :param status: the result of ``server.status``.
    """
    return status.get("loads"), (status.get("vision") or {}).get("encoder")


def has_shared_history(status: Mapping[str, Any]) -> bool:
    """True if the daemon does not keep the histories of its connections apart."""
    return status.get("history") != "connection"


def offered_model(status: Mapping[str, Any]) -> str | None:
    """Return the model that may be run; None: the board offers nothing now.

    :param status: the result of ``server.status``.
    """
    if status.get("state") not in READY_STATES or has_shared_history(status):
        return None
    return model_name(status)


def needs_load(status: Mapping[str, Any]) -> bool:
    """True if the configured model is to be loaded: none is, and nobody has unloaded it."""
    return status.get("state") == "failed" or (
        status.get("state") == "empty"
        and (status.get("problem") is not None or not status.get("loads"))
    )
