"""What a fake daemon is told to answer: texts, exact results, and everything that can go wrong."""

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
    """How a run ends that nothing befalls."""

    FINISH = "with a callback in state 2"
    ERROR = "with a callback in state 3, and status -1"
    SILENT = "without a callback of its own, as the modes for logits and hidden states do"


@attrs.frozen
class Crash:
    """The runtime's process dies: the call is answered with -32004, and the model is gone.

    :param signal: what kills it.
    """

    signal: int = signal.SIGSEGV


@attrs.frozen
class Hang:
    """Nothing more comes, until the run is aborted or cancelled, or a time limit ends it."""


@attrs.frozen
class Disconnect:
    """The connection is closed, after what was sent before."""


Fault: TypeAlias = RPCError | Crash | Hang | Disconnect


def tokens_of(text: str) -> tuple[str, ...]:
    """Split a text as a tokenizer might: a word with the space before it."""
    return tuple(re.findall(r"\s*\S+|\s+", text))


def _parts(given: str | Sequence[str | Mapping[str, Any]]) -> tuple[str | Mapping[str, Any], ...]:
    return tokens_of(given) if isinstance(given, str) else tuple(given)


@attrs.frozen
class Answer:
    """What a fake run does.

    :param parts: one callback each: a text, which is split into tokens; or a sequence of tokens,
        and of members that an RKLLMResult is to have (``_callback_state`` among them).
    :param then: how it ends: an :class:`End`, or what befalls it.
    :param endless: repeat the parts until aborted.
    :param delay: seconds before each callback. An endless answer without one takes 1 ms.
    """

    parts: tuple[str | Mapping[str, Any], ...] = attrs.field(
        default="Hello world", converter=_parts
    )
    then: End | Fault = End.FINISH
    endless: bool = False
    delay: float = 0.0

    @property
    def pause(self) -> float:
        """Seconds before each callback: without any, an endless answer would let nobody work."""
        return self.delay or (0.001 if self.endless else 0.0)


#: An answer; or its text; or what befalls the run; or one after the other, of which the last
#: repeats; or a function of the prompt.
Reply: TypeAlias = Union[
    Answer, str, RPCError, Crash, Hang, Disconnect, "Sequence[Reply]", "Callable[[str], Reply]"
]


#: A method, e.g. ``rkllm.init`` -> what befalls its calls, or one thing after the other, of which
#: the last repeats; None: nothing does.
Faults: TypeAlias = Mapping[str, "Fault | Sequence[Fault | None] | None"]
T = TypeVar("T")


class _Series:
    """Knows which of several replies is the next. The last one repeats."""

    def __init__(self) -> None:
        self._given: Counter[object] = Counter()

    def next(self, key: object, replies: Sequence[T]) -> T:
        """Give the next one of a key's."""
        number = self._given[key]
        self._given[key] += 1
        return replies[min(number, len(replies) - 1)]


class Book:
    """Finds the answer to a prompt.

    :param answers: a prompt, or a pattern that is found in one -> the reply. The mapping may be
        changed at any time.
    :param default: the reply to any other prompt.
    :param faults: what befalls calls; may be changed as well.
    """

    def __init__(
        self, answers: Mapping[str | re.Pattern[str], Reply], default: Reply, faults: Faults
    ) -> None:
        self._answers = answers
        self._default = default
        self._faults = faults
        self._series = _Series()

    def look_up(self, prompt: str) -> Answer:
        """Give the answer whose turn it is."""
        key = next((key for key in list(self._answers) if _fits(key, prompt)), None)
        reply = self._default if key is None else self._answers[key]
        return self._answer((key,), prompt, reply)

    def fault(self, function: str) -> Fault | None:
        """Give what befalls a call of a C function now."""
        fault = self._faults.get(function.replace("_", ".", 1))
        return self._series.next(function, fault) if isinstance(fault, Sequence) else fault

    def _answer(self, key: tuple[object, ...], prompt: str, reply: Reply) -> Answer:
        if isinstance(reply, Answer):
            return reply
        if isinstance(reply, str):
            return Answer(reply)
        if isinstance(reply, RPCError | Crash | Hang | Disconnect):
            return Answer((), then=reply)
        if isinstance(reply, Sequence):
            return self._answer((*key, "next"), prompt, self._series.next(key, reply))
        return self._answer(key, prompt, reply(prompt))


def _fits(key: str | re.Pattern[str], prompt: str) -> bool:
    return key == prompt if isinstance(key, str) else key.search(prompt) is not None
