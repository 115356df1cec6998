"""Runs that end with arrays in place of text: hidden states and logits. In the NPU thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Generic, TypeVar

import attrs

from rkllm_twisted.chat.plan import CLEAR
from rkllm_twisted.chat.trail import cache_size
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.inference.array_run import array_run, token_input
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.tokenizer_check import check_tokenizer
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import FloatArray

#: Runs of one turn: other clients wait no longer than for these.
RUNS_PER_TURN = 8

Input = str | tuple[int, ...]
T = TypeVar("T")


@attrs.frozen
class HiddenTurn(Generic[T]):
    """The procedure of several runs, each of which reads its own input only.

    :param inputs: prompts as text, which get the runtime's template, or as tokens.
    :param mode: a key of :data:`~rkllm_twisted.inference.array_run.ARRAYS`.
    :param context: the model's room in tokens.
    :param take: returns what is kept of an array: logits of many tokens are many megabytes. It is
        called in the NPU thread.
    :param shares: True if ``take`` uses the last row only. The tokens that all inputs begin with
        are then read once and stay in the cache.
    """

    inputs: Sequence[Input]
    mode: str
    context: int
    traits: RuntimeTraits
    watch: CacheWatch
    take: Callable[[FloatArray], T]
    shares: bool = False
    vocabulary: Vocabulary | None = None

    def parts(self) -> Iterator[HiddenTurn[T]]:
        """Yield turns that other clients can wait for; together they make all the runs."""
        for start in range(0, len(self.inputs), RUNS_PER_TURN):
            yield attrs.evolve(self, inputs=self.inputs[start : start + RUNS_PER_TURN])

    def perform(self, turn: ITurn) -> list[T]:
        """Make the runs.

        :returns: what is kept of the array of each.
        :raises RPCError: a run failed, the client has cancelled, or the tokenizer is another
            model's.
        """
        with self.watch.planned() as known:
            known.take()
            if known.empty_slot is not None:
                call, known.empty_slot = known.empty_slot, None
                turn.perform(turn.prepare(call.function, list(call.params)))
            if self.vocabulary is not None:
                self._clear(turn)
                check_tokenizer(turn, self.vocabulary, self.watch, self.traits)
            held = self._read_beginning(turn)
            kept: list[T] = []
            for given in self.inputs:
                if held and _cache_size(turn) != held:
                    held = 0  # the library does not keep what it is to keep, or keeps more
                if not held:
                    self._clear(turn)
                kept.append(self.take(self._run(turn, given[held:])))
            return kept

    def _read_beginning(self, turn: ITurn) -> int:
        """Read the tokens that all inputs begin with.

        :returns: their number; 0 if nothing was read.
        """
        beginning = self._beginning()
        if beginning:
            self._clear(turn)
            self._run(turn, beginning, keep_history=1)
        return len(beginning)

    def _beginning(self) -> tuple[int, ...]:
        """Return the tokens to read once; none without a way to check what the cache holds."""
        inputs = [one for one in self.inputs if isinstance(one, tuple)]
        if not self.shares or not self.traits.sizes or not 1 < len(inputs) == len(self.inputs):
            return ()
        first, last = min(inputs), max(inputs)
        most = min(map(len, inputs)) - 1  # each run must read a token
        same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        return first[: min(most, sum(1 for _ in same))]

    def _clear(self, turn: ITurn) -> None:
        if self.traits.plan.history:
            turn.perform(turn.prepare(CLEAR.function, list(CLEAR.params)))

    def _run(self, turn: ITurn, given: Input, keep_history: int = 0) -> FloatArray:
        infer = {"keep_history": keep_history} if self.traits.plan.history else {}
        run_input = _run_input(given, self.traits.plan.roles)
        return array_run(turn, self.mode, run_input, infer, self.context)


def _run_input(given: Input, roles: bool) -> Mapping[str, object]:
    if isinstance(given, tuple):
        return token_input(given)
    role = {"role": "user"} if roles else {}
    return {**role, "input_type": "RKLLM_INPUT_PROMPT", "prompt_input": given}


def _cache_size(turn: ITurn) -> int | None:
    return cache_size(turn.perform(turn.prepare("rkllm_get_kv_cache_size", None)))
