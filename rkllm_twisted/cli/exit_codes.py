"""How the command ends: its exit codes, and the one sentence that says why.

The table is for scripts, and stands in ``docs/cli.md`` in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import attrs

from rkllm_twisted import errors


class Exit(IntEnum):
    """Exit codes; each has its meaning beside it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_DAEMON = 3
    NO_MODEL = 4
    BUSY = 5
    TIMED_OUT = 6
    CRASHED = 7
    LOST = 8
    NOT_ALLOWED = 9
    CANCELLED = 10
    FAULT = 70
    INTERRUPTED = 130
    PIPE = 141


#: What each code tells a script.
MEANINGS = {
    Exit.OK: "It worked.",
    Exit.FAILED: "The daemon or the runtime refused, or `doctor` found something wrong.",
    Exit.USAGE: "The command was used wrongly; nothing was sent.",
    Exit.NO_DAEMON: "No daemon can be reached.",
    Exit.NO_MODEL: "No model is loaded.",
    Exit.BUSY: "The queue is full, or the connection's share of it; try again later.",
    Exit.TIMED_OUT: "The runtime or the daemon did not answer in time.",
    Exit.CRASHED: "The process that holds the runtime died.",
    Exit.LOST: "The connection was lost before the answer was complete.",
    Exit.NOT_ALLOWED: "The socket's permissions or the daemon do not let this user.",
    Exit.CANCELLED: "Somebody cancelled the request, or the daemon is stopping.",
    Exit.FAULT: "A fault of the command itself; `--debug` shows where.",
    Exit.INTERRUPTED: "Ctrl-C.",
    Exit.PIPE: "The reader of the output went away.",
}


@attrs.frozen
class ExitReason:
    """An exit code, and one sentence for stderr; None says nothing."""

    code: Exit
    sentence: str | None = None


#: Error -> exit code, and what to say instead of the error's own words. The first that fits counts.
ENDINGS: Sequence[tuple[type[BaseException], Exit, str | None]] = (
    (errors.NoModel, Exit.NO_MODEL, "No model is loaded; load one with `rkllm init PATH`."),
    (errors.Busy, Exit.BUSY, None),
    (errors.TimedOut, Exit.TIMED_OUT, None),
    (errors.RuntimeCrashed, Exit.CRASHED, None),
    (errors.NotAllowed, Exit.NOT_ALLOWED, None),
    (errors.Cancelled, Exit.CANCELLED, None),
    (errors.ShuttingDown, Exit.CANCELLED, None),
    (errors.RPCError, Exit.FAILED, None),
    (errors.StartupError, Exit.FAILED, None),
    (errors.NoPermission, Exit.NOT_ALLOWED, None),
    (errors.Disconnected, Exit.LOST, None),
    (errors.NoAnswer, Exit.TIMED_OUT, None),
    (errors.Unreachable, Exit.NO_DAEMON, None),
)


def exit_reason(error: BaseException) -> ExitReason:
    """Say how the command ends that met this error."""
    if isinstance(error, KeyboardInterrupt):
        return ExitReason(Exit.INTERRUPTED, str(error) or None)  # what goes on, if something does
    if isinstance(error, BrokenPipeError) and not isinstance(error, errors.Unreachable):
        return ExitReason(Exit.PIPE)
    for kind, code, sentence in ENDINGS:
        if isinstance(error, kind):
            return ExitReason(code, sentence or _words(error))
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return ExitReason(Exit.FAILED, f"A file or the terminal cannot be used: {what}.")
    fault = f"{type(error).__name__}: {error}"
    return ExitReason(
        Exit.FAULT, f"This is a fault of rkllm itself ({fault}); --debug shows where."
    )


def _words(error: BaseException) -> str:
    """The error's sentence on one line, and the number of one that the daemon sent."""
    text = " ".join(str(error).split())
    return f"{text} ({error.code})" if isinstance(error, errors.RPCError) else text
