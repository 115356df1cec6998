"""The error for a run that ended in state ERROR."""

from __future__ import annotations

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import LINES, Result, RunState

_DATA = {"function": "rkllm_run", "status_code": -1}


def check_run(final: Result, context: int) -> Result:
    """Return a run's last result.

    :param context: the model's room in tokens.
    :raises RuntimeRefused: the run ended in an error.
    """
    if final["_callback_state"] != RunState.ERROR:
        return final
    lines = list(final.get(LINES, ()))
    why = lines[-1].partition(": ")[2].removeprefix("rkllm_run: ").rstrip(".") if lines else ""
    data = {**_DATA, "lines": lines} if lines else _DATA
    if "context" in why:
        raise RuntimeRefused(
            f"The run ended in an error: {why}, and the model was loaded with room for {context}"
            " tokens of conversation and answer together.",
            {**data, "max_context_len": context},
        )
    raise RuntimeRefused(
        f"The run ended in an error: {why or 'the log lines of the runtime say why'}.", data
    )
