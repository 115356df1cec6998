"""What the NPU thread has for the reactor leaves in order, with as few wake-ups as possible."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.interfaces import IRuntime, ITurn
from rkllm_twisted.npu import deliveries
from rkllm_twisted.npu.deliveries import Deliveries, Delivery, DeliveryBatch
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing import Answer, FakeRuntime, StepThread
from rkllm_twisted.wire.encoded_result import EncodedResult
from rkllm_twisted.wire.encoding import encode

RUN = [{"prompt_input": "hi"}]


def one(result: object) -> DeliveryBatch:
    """Return a batch with one token, for a function that takes a list."""
    batch = DeliveryBatch(tokens=1)
    batch.add_results(print, [result])
    return batch


class Taken:
    """A thread and what the reactor got of it."""

    def __init__(self) -> None:
        self.thread, self.batches = StepThread(), list[DeliveryBatch]()
        self.deliveries = Deliveries(self.thread.from_thread, self.batches.append)

    @property
    def results(self) -> list[Any]:
        """The arguments of each delivery."""
        return [each.results or each.args for batch in self.batches for each in batch.deliveries]


def test_what_comes_before_the_reactor_looks_goes_along() -> None:
    """There is one wake-up, and one list."""
    taken = Taken()
    for result in range(3):
        taken.deliveries.put(one(result))
    assert taken.thread.calls == 1
    taken.thread.deliver()
    assert taken.results == [[0, 1, 2]]
    assert taken.batches[0].tokens == 3


def test_the_npu_thread_waits_while_the_reactor_is_far_behind() -> None:
    """It goes on as soon as the reactor has taken what there is."""
    taken, added = Taken(), threading.Event()
    full = DeliveryBatch(tokens=deliveries.MAX_TOKENS)

    def put() -> None:
        taken.deliveries.put(one("next"))
        added.set()

    taken.deliveries.put(full)
    thread = threading.Thread(target=put)
    with patch.object(deliveries, "MAX_WAIT_S", 60):
        thread.start()
        assert not added.wait(0.05)
        taken.thread.deliver()
        thread.join(30)
    assert added.is_set()
    taken.thread.deliver()
    assert [batch.tokens for batch in taken.batches] == [deliveries.MAX_TOKENS, 1]


def test_a_reactor_that_takes_nothing_does_not_hold_the_npu_thread() -> None:
    """It may have ended, or wait for this thread: then the batch grows."""
    taken = Taken()
    with patch.object(deliveries, "MAX_WAIT_S", 0.01):
        for tokens in (deliveries.MAX_TOKENS, 1, 1):
            taken.deliveries.put(DeliveryBatch(tokens=tokens))
    taken.thread.deliver()
    assert [batch.tokens for batch in taken.batches] == [deliveries.MAX_TOKENS + 2]


def test_what_comes_after_it_has_looked_wakes_it_again() -> None:
    """Nothing is added to a batch that the reactor has taken."""
    taken = Taken()
    taken.deliveries.put(one("a"))
    taken.thread.deliver()
    taken.deliveries.put(one("b"))
    assert taken.thread.calls == 1
    taken.thread.deliver()
    assert taken.results == [["a"], ["b"]]


def test_the_order_is_kept_where_functions_differ() -> None:
    """A list goes on only if its function was the last one."""
    taken = Taken()
    other = DeliveryBatch(deliveries=[Delivery(print, ("alone",))])
    for batch in (one(1), one(2), other, one(3)):
        taken.deliveries.put(batch)
    taken.thread.deliver()
    assert taken.results == [[1, 2], ("alone",), [3]]


def test_what_comes_after_a_batch_was_ended_stays_behind_it() -> None:
    """So it stays behind what the thread calls in the reactor meanwhile."""
    taken = Taken()
    taken.deliveries.put(one("a"))
    taken.deliveries.end_batch()
    taken.thread.from_thread(taken.batches.append, DeliveryBatch())
    taken.deliveries.put(one("b"))
    while taken.thread.calls:
        taken.thread.deliver()
    assert [batch.tokens for batch in taken.batches] == [1, 0, 1]


@implementer(IRuntime)
class Reading(FakeRuntime):
    """A runtime whose results come three at a time, as with a child that is ahead."""

    def _run(self, prepared: Any, on_results: Any) -> dict[str, Any]:
        kept: list[Any] = []

        def keep(results: list[Any]) -> None:
            kept.extend(results)
            if len(kept) >= 3:
                on_results(kept[:])
                kept.clear()

        outputs = super()._run(prepared, keep)
        on_results(kept)
        return outputs


class Rig:
    """An NPU whose results come three at a time."""

    def __init__(self, tokens: int) -> None:
        self.thread = StepThread()
        self.runtime = Reading({"hi": Answer(("x",) * tokens)})
        self.runtime.load("m")
        # The class's table would call the parent's method.
        self.runtime.perform = self._perform  # type: ignore[method-assign]
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread)

    def _perform(self, prepared: Any, on_results: Any = None) -> dict[str, Any]:
        return self.runtime._run(prepared, on_results)


def test_the_tokens_of_one_read_are_delivered_by_one_call() -> None:
    """And the next read's by another one, if the reactor has come to the first."""
    rig = Rig(6)
    lists: list[list[Any]] = []
    rig.npu.stream("rkllm_run", RUN, lists.append)  # type: ignore[arg-type]
    rig.thread.go()
    assert rig.thread.calls == 2, "the tokens, and the end of the run"
    rig.thread.deliver()
    assert [len(results) for results in lists] == [6]
    assert rig.npu.status().tokens == 6


def test_a_function_that_takes_single_results_gets_each() -> None:
    """They come in order, by one call of the thread's."""
    rig = Rig(3)
    texts: list[Any] = []
    rig.npu.run("rkllm_run", RUN, lambda result: texts.append(result["token_id"]))
    rig.thread.go()
    assert rig.thread.calls == 2
    rig.thread.deliver()
    assert texts == [0, 1, 2]


def test_who_has_cancelled_gets_nothing_more_of_the_same_read() -> None:
    """The first of three results makes the caller cancel."""
    rig = Rig(3)
    texts: list[Any] = []

    def take(result: Any) -> None:
        texts.append(result["token_id"])
        done.cancel()

    done: Deferred[Any] = rig.npu.run("rkllm_run", RUN, take)
    done.addErrback(lambda _: None)
    rig.thread.step()
    assert texts == [0]


def test_a_fault_of_one_function_costs_the_others_nothing(
    flush_logged_errors: Callable[..., list[Failure]],
) -> None:
    """It is logged, and what was delivered with it still comes."""
    rig = Rig(3)
    texts: list[Any] = []

    def procedure(turn: ITurn) -> None:
        def on_result(result: Any) -> None:
            turn.deliver(int, "no number" if result["token_id"] == 0 else "1")
            turn.deliver(texts.append, result["token_id"])

        turn.perform(turn.prepare("rkllm_run", RUN), on_result)

    rig.npu.perform(procedure)
    rig.thread.step()
    assert texts == [0, 1, 2]
    assert [failure.type for failure in flush_logged_errors(ValueError)] == [ValueError]


def test_tokens_that_nobody_gets_are_counted() -> None:
    """The count and the time of the next token do not depend on what is delivered."""
    rig = Rig(3)
    rig.npu.perform(lambda turn: turn.perform(turn.prepare("rkllm_run", RUN), bool))
    rig.thread.step()
    assert rig.npu.status().tokens == 3


@pytest.mark.parametrize("results", [1, 2])
def test_a_new_call_does_not_begin_behind_its_own_tokens(results: int) -> None:
    """The state that the reactor sees follows the calls in their order."""
    rig = Rig(results)
    seen: list[tuple[str, int]] = []
    begins = rig.npu._call_begins
    rig.npu._call_begins = lambda *args: (  # type: ignore[method-assign]
        seen.append(("begins", rig.npu.status().tokens)),
        begins(*args),
    )

    def procedure(turn: ITurn) -> None:
        for _ in range(2):
            turn.perform(turn.prepare("rkllm_run", RUN), bool)

    rig.npu.perform(procedure)
    rig.thread.step()
    assert seen[-1] == ("begins", results)


def encoded(results: Sequence[Any]) -> list[Any]:
    """Return tokens as the runtime sends most of them; the last result stays a dict."""
    return [
        EncodedResult(encode(result)) if result["_callback_state"] == 0 else result
        for result in results
    ]


@pytest.mark.parametrize("end", [None, "y"])
def test_tokens_that_come_together_are_taken_together(end: str | None) -> None:
    """Without end tokens, by one call; with them, one by one up to the first end."""
    rig = Rig(5)
    perform, lists = rig._perform, []
    rig.runtime.perform = lambda prepared, on_results: perform(  # type: ignore[method-assign, assignment, misc]
        prepared, lambda results: on_results(encoded(results))
    )

    def procedure(turn: ITurn) -> object:
        turn.end_at([] if end is None else [end])
        return turn.perform(turn.prepare("rkllm_run", RUN), on_results=lists.append)

    results: list[Any] = []
    rig.npu.perform(procedure).addCallback(results.append)
    rig.thread.step()
    tokens = [[one["token_id"] for one in each] for each in lists]
    assert tokens == ([[0, 1, 2], [3], [4]] if end is None else [[0], [1], [2], [3], [4]])
    assert results[0]["_callback_state"] == 2
    assert rig.npu.status().tokens == 5
