"""The error for a run that an abort has cut off."""

from __future__ import annotations

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import FINISH_REASON, Result

#: The call that an error is about.
RUN = {"function": "rkllm_run", "status_code": 0}


class RunAbortedError(RuntimeRefused):
    """A client has aborted the run."""


def check_whole(final: Result) -> None:
    """Check that a run was not aborted: what has come may be a part.

    :param final: its last result.
    :raises RunAbortedError: it was.
    """
    if final.get(FINISH_REASON) == "cancelled":
        raise RunAbortedError("The run was aborted; send the request again.", RUN)
