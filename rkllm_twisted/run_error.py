"""The error for a run that ended in state ERROR, for methods, plugins and clients."""

from __future__ import annotations

from collections.abc import Sequence

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import LINES, Result, RunState


def check_run(final: Result, room: int | None) -> Result:
    """Return a run's last result.

    :param room: the tokens that the model was loaded with room for; None if that is not known.
    :raises RuntimeRefused: the run ended in an error.
    """
    if final["_callback_state"] == RunState.ERROR:
        raise run_error(final.get(LINES) or (), room)
    return final


def run_error(lines: Sequence[str], room: int | None = None) -> RuntimeRefused:
    """Make the error.

    :param lines: the errors and warnings that the library printed during the run; the last one says
        why it failed.
    :param room: see :func:`check_run`.
    """
    data: dict[str, object] = {"function": "rkllm_run", "status_code": -1}
    if not lines:
        return RuntimeRefused("The run ended in an error; the runtime's log lines say why.", data)
    data["lines"] = list(lines)
    why = lines[-1].partition(": ")[2].removeprefix("rkllm_run: ").rstrip(".")
    if room is None or "context" not in why:
        return RuntimeRefused(f"The run ended in an error: {why or lines[-1]}.", data)
    return RuntimeRefused(
        f"The run ended in an error: {why}, and the model was loaded with room for {room} tokens of"
        " prompt, history and answer together.",
        {**data, "max_context_len": room},
    )
