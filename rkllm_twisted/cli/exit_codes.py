"""The exit codes of the command, and the sentence for each error.

``docs/cli.md`` has the same table for the authors of scripts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum

import attrs

from rkllm_twisted import errors

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Exit(IntEnum):
    """The exit codes; :data:`MEANINGS` explains them."""

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


#: Exit code -> its meaning.
MEANINGS = {
    Exit.OK: "It worked.",
    Exit.FAILED: "The daemon or the runtime refused, or `doctor` found something wrong.",
    Exit.USAGE: "The command line is wrong; nothing was sent.",
    Exit.NO_DAEMON: "No daemon can be reached.",
    Exit.NO_MODEL: "No model is loaded.",
    Exit.BUSY: "The queue, or the connection's share of it, is full; try again later.",
    Exit.TIMED_OUT: "The runtime or the daemon did not answer in time.",
    Exit.CRASHED: "The runtime's process died.",
    Exit.LOST: "The connection was lost before the answer was complete.",
    Exit.NOT_ALLOWED: "The socket's permissions or the daemon do not allow this user.",
    Exit.CANCELLED: "The request was cancelled, or the daemon is stopping.",
    Exit.FAULT: "A fault of the command itself; `--debug` prints the traceback.",
    Exit.INTERRUPTED: "Ctrl-C.",
    Exit.PIPE: "The reader of the output has gone.",
}


@attrs.frozen
class ExitReason:
    """An exit code, and one sentence for stderr; None prints nothing.

    :param lines: what the library has printed about the failure; they follow the sentence.
    """

    code: Exit
    sentence: str | None = None
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The sentence and the lines, for stderr."""
        if self.sentence is None:
            return None
        return "\n".join([self.sentence, *(f"  {line}" for line in self.lines)])


#: Error -> exit code, and a sentence that replaces the error's own. The first row that fits counts.
REASONS: Sequence[tuple[type[BaseException], Exit, str | None]] = (
    (
        errors.NoModel,
        Exit.NO_MODEL,
        "No model is loaded{why}; load one with `rkllm init PATH` or `rkllm init NAME`.",
    ),
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
    """Return the exit code and the sentence for an error."""
    if isinstance(error, KeyboardInterrupt):
        return ExitReason(Exit.INTERRUPTED, str(error) or None)
    if isinstance(error, BrokenPipeError) and not isinstance(error, errors.Unreachable):
        return ExitReason(Exit.PIPE)
    for kind, code, sentence in REASONS:
        if isinstance(error, kind):
            is_own = sentence is None or _lacks_encoder(error)
            said = _sentence(error) if is_own else str(sentence).format(why=_why(error))
            return ExitReason(code, said, _lines(error))
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return ExitReason(Exit.FAILED, f"A file or the terminal cannot be used: {what}.")
    fault = f"{type(error).__name__}: {error}"
    return ExitReason(
        Exit.FAULT, f"This is a fault of rkllm itself ({fault}); --debug prints the traceback."
    )


def _lacks_encoder(error: BaseException) -> bool:
    """True if a vision encoder is missing, not a model; both have one code."""
    return _data(error).get("reason") == errors.NO_ENCODER


def _why(error: BaseException) -> str:
    """Return how the runtime's process crashed, if that is why there is no model."""
    problem = _data(error).get("problem")
    if not isinstance(problem, str):
        return ""
    return f", because the runtime's process {_CONTROL.sub('�', problem)}"


def _lines(error: BaseException) -> tuple[str, ...]:
    """Return the library's lines in an error of the daemon that its sentence does not contain.

    A terminal must not get the control characters in them.
    """
    lines = _data(error).get("lines")
    if not isinstance(lines, list):
        return ()
    said = str(error)
    return tuple(
        _CONTROL.sub("�", str(line))
        for line in lines
        if str(line).rpartition(": ")[2].rstrip(".") not in said
    )


def _data(error: BaseException) -> Mapping[str, object]:
    """Return what an error of the daemon says for programs."""
    return (error.data or {}) if isinstance(error, errors.RPCError) else {}


def _sentence(error: BaseException) -> str:
    """Return the error's sentence on one line; for an error of the daemon, with its code."""
    text = " ".join(str(error).split())
    return f"{text} ({error.code})" if isinstance(error, errors.RPCError) else text
