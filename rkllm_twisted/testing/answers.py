"""The answers of a fake daemon: texts, exact results, and faults."""

from __future__ import annotations

import enum
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, Union

import attrs

from rkllm_twisted.errors import RPCError


class End(enum.Enum):
    """The end of a run without a fault."""

    FINISH = "with a callback in state 2"
    ERROR = "with a callback in state 3, and status -1"
    SILENT = "without a callback of its own, as the modes for logits and hidden states do"


@attrs.frozen
class Crash:
    """The runtime's process dies: the daemon answers the call with -32004 and has no model loaded.

    :param signal: the signal that kills it.
    """

    signal: int = signal.SIGSEGV


@attrs.frozen
class Hang:
    """The run makes no more callbacks, until an abort, a cancellation or a timeout ends it."""


@attrs.frozen
class Disconnect:
    """The daemon closes the connection after the results so far."""


Fault: TypeAlias = RPCError | Crash | Hang | Disconnect


def tokens_of(text: str) -> tuple[str, ...]:
    """Split a text into words, each with the space before it, as a tokenizer might."""
    return tuple(re.findall(r"\s*\S+|\s+", text))


def _parts(given: str | Sequence[str | Mapping[str, Any]]) -> tuple[str | Mapping[str, Any], ...]:
    return tokens_of(given) if isinstance(given, str) else tuple(given)


@attrs.frozen
class Answer:
    """The course of a fake run.

    :param parts: the callbacks: a text, which is split into tokens; or a sequence of tokens and of
        mappings with members of an RKLLMResult, such as ``_callback_state``.
    :param then: the end of the run: an :class:`End`, or a fault.
    :param endless: repeat the parts until the run is aborted.
    :param delay: seconds before each callback; 1 ms if the answer is endless and this is 0.
    """

    parts: tuple[str | Mapping[str, Any], ...] = attrs.field(
        default="Hello world", converter=_parts
    )
    then: End | Fault = End.FINISH
    endless: bool = False
    delay: float = 0.0

    @property
    def pause(self) -> float:
        """Seconds before each callback; above 0 if endless, so that the reactor is not blocked."""
        return self.delay or (0.001 if self.endless else 0.0)


#: An answer; or its text; or a fault; or a sequence of replies, one for each run, of which the last
#: repeats; or a function that returns the reply to a prompt.
Reply: TypeAlias = Union[
    Answer, str, RPCError, Crash, Hang, Disconnect, "Sequence[Reply]", "Callable[[str], Reply]"
]


#: A method, e.g. ``rkllm.init`` -> the fault of each call, or a sequence of faults, one for each
#: call, of which the last repeats; None means no fault.
Faults: TypeAlias = Mapping[str, "Fault | Sequence[Fault | None] | None"]
T = TypeVar("T")


class _Sequences:
    """Returns the replies of several sequences in order; the last one of each repeats."""

    def __init__(self) -> None:
        self._count: Counter[object] = Counter()

    def next(self, key: object, replies: Sequence[T]) -> T:
        """Return the next reply of a key's sequence."""
        number = self._count[key]
        self._count[key] += 1
        return replies[min(number, len(replies) - 1)]


class ReplyTable:
    """Finds the answer to a prompt, and the fault of a call.

    :param answers: a prompt, or a pattern that matches somewhere in one -> the reply. The mapping
        may be changed at any time.
    :param default: the reply to any other prompt.
    :param faults: the faults of calls; the mapping may be changed at any time.
    """

    def __init__(
        self, answers: Mapping[str | re.Pattern[str], Reply], default: Reply, faults: Faults
    ) -> None:
        self._answers = answers
        self._default = default
        self._faults = faults
        self._sequences = _Sequences()

    def answer(self, prompt: str) -> Answer:
        """Return the next answer to a prompt."""
        key = next((key for key in list(self._answers) if _fits(key, prompt)), None)
        reply = self._default if key is None else self._answers[key]
        return self._answer((key,), prompt, reply)

    def fault(self, function: str) -> Fault | None:
        """Return the fault of this call of a C function."""
        fault = self._faults.get(function.replace("_", ".", 1))
        return self._sequences.next(function, fault) if isinstance(fault, Sequence) else fault

    def _answer(self, key: tuple[object, ...], prompt: str, reply: Reply) -> Answer:
        if isinstance(reply, Answer):
            return reply
        if isinstance(reply, str):
            return Answer(reply)
        if isinstance(reply, RPCError | Crash | Hang | Disconnect):
            return Answer((), then=reply)
        if isinstance(reply, Sequence):
            return self._answer((*key, "next"), prompt, self._sequences.next(key, reply))
        return self._answer(key, prompt, reply(prompt))


def _fits(key: str | re.Pattern[str], prompt: str) -> bool:
    return key == prompt if isinstance(key, str) else key.search(prompt) is not None
