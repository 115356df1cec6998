"""Which requests begin, if they want different models."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rkllm_twisted.models.swap_order import SwapOrder, WantedModel

A, B, C = (WantedModel(name) for name in "ABC")
LOADED = WantedModel()


def order_with(*wanted: WantedModel, max_passes: int = 2, max_wait: float = 10.0) -> SwapOrder:
    """Return an order in which requests number 0, 1, 2 … wait, since the time 0."""
    order = SwapOrder(max_passes, max_wait)
    for number, one in enumerate(wanted):
        order.add(number, one, 0)
    return order


def test_the_first_request_begins_and_has_its_model_loaded() -> None:
    order = order_with(A)
    assert order.begin(0) == [0]
    assert order.target == A


def test_requests_for_one_model_begin_together() -> None:
    assert order_with(A, A, A).begin(0) == [0, 1, 2]


def test_a_request_for_another_model_waits_for_the_end_of_those_that_run() -> None:
    order = order_with(A, A, B)
    assert order.begin(0) == [0, 1]
    order.remove(0)
    assert order.begin(0) == []
    order.remove(1)
    assert order.begin(0) == [2]
    assert order.target == B


def test_requests_for_the_loaded_model_pass_those_for_another_a_few_times() -> None:
    assert order_with(A, B, A, A, A, max_passes=2).begin(0) == [0, 2, 3]


def test_no_request_passes_one_that_has_waited_long() -> None:
    order = order_with(A, B, max_wait=10)
    order.begin(0)
    order.add(2, A, 9.9)
    assert order.begin(9.9) == [2]
    order.add(3, A, 10)
    assert order.begin(10) == []


def test_those_that_could_not_pass_run_when_their_model_is_loaded_again() -> None:
    order = order_with(A, B, A, max_passes=0)
    assert order.begin(0) == [0]
    order.remove(0)
    assert order.begin(0) == [1]
    order.remove(1)
    assert order.begin(0) == [2]
    assert order.target == A


def test_a_request_for_the_loaded_model_takes_any() -> None:
    order = order_with(B, LOADED)
    assert order.begin(0) == [0, 1]


def test_a_request_without_a_name_does_not_need_a_known_model() -> None:
    order = order_with(LOADED)
    assert order.begin(0) == [0]
    assert order.target is None


def test_another_version_of_the_loaded_model_will_do_unless_it_must_be_exact() -> None:
    old, new = WantedModel("A", "old"), WantedModel("A", "new")
    exact = WantedModel("A", "new", is_exact=True)
    order = order_with(old, new, exact)
    assert order.begin(0) == [0, 1]
    order.remove(0)
    order.remove(1)
    assert order.begin(0) == [2]
    assert order.target == exact


def test_a_request_that_was_cancelled_lets_the_next_one_begin() -> None:
    order = order_with(A, B, A, max_passes=0)
    order.begin(0)
    order.remove(1)
    assert order.begin(0) == [2]


def test_a_model_that_cannot_be_loaded_fails_those_that_wait_for_it_and_no_others() -> None:
    order = order_with(B, A, B, LOADED, max_passes=0)
    assert order.begin(0) == [0]
    assert order.fail_target() == [2]
    order.remove(0)
    assert order.begin(0) == [1, 3]


class Swaps(RuleBasedStateMachine):
    """Any requests at any times: what runs fits the loaded model, and none is passed too often."""

    MAX_PASSES, MAX_WAIT = 3, 10.0

    def __init__(self) -> None:
        super().__init__()
        self.order = SwapOrder(self.MAX_PASSES, self.MAX_WAIT)
        self.now = 0.0
        self.number = 0
        self.wanted: dict[int, WantedModel] = {}
        self.since: dict[int, float] = {}
        self.waiting: list[int] = []
        self.running: set[int] = set()
        self.passed: Counter[int] = Counter()

    def begin(self) -> None:
        for number in self.order.begin(self.now):
            for other in self.waiting[: self.waiting.index(number)]:
                self.passed[other] += 1
                assert self.now - self.since[other] < self.MAX_WAIT
            self.waiting.remove(number)
            self.running.add(number)

    @rule(
        name=st.sampled_from(["A", "B", "C", None]),
        version=st.sampled_from("xy"),
        is_exact=st.booleans(),
    )
    def ask(self, name: str | None, version: str, is_exact: bool) -> None:
        self.number += 1
        self.wanted[self.number] = WantedModel(name, version, is_exact)
        self.since[self.number] = self.now
        self.waiting.append(self.number)
        self.order.add(self.number, self.wanted[self.number], self.now)
        self.begin()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        self.running.remove(number)
        self.order.remove(number)
        self.begin()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(number)
        self.order.remove(number)
        self.begin()

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def fail(self) -> None:
        for number in self.order.fail_target():
            self.waiting.remove(number)
        self.begin()

    @precondition(lambda self: not self.running)
    @rule()
    def lose_the_model(self) -> None:
        self.order.target = None

    @invariant()
    def something_runs_if_anything_waits(self) -> None:
        assert self.running or not self.waiting
        assert self.order.is_running == bool(self.running)
        assert len(self.order) == len(self.waiting)

    @invariant()
    def no_request_is_passed_too_often(self) -> None:
        assert max(self.passed.values(), default=0) <= self.MAX_PASSES


TestSwaps = Swaps.TestCase
TestSwaps.settings = settings(max_examples=40, stateful_step_count=40)


@given(st.lists(st.sampled_from([A, B, C, LOADED]), max_size=30))
def test_every_request_begins_once_and_on_its_model(wanted: list[WantedModel]) -> None:
    order = order_with(*wanted)
    begun: list[int] = []
    while len(order):
        now = order.begin(0)
        assert all(wanted[number].is_met_by(order.target) for number in now)
        begun += now
        for number in now:
            order.remove(number)
    assert sorted(begun) == list(range(len(wanted)))


@given(st.lists(st.sampled_from("AB"), min_size=1, max_size=60))
def test_two_busy_models_are_not_loaded_in_turns(names: str) -> None:
    """Each load serves as many requests as may pass, not one."""
    order = order_with(*(WantedModel(name) for name in names), max_passes=len(names))
    loads = 0
    while len(order):
        for number in order.begin(0):
            order.remove(number)
        loads += 1
    assert loads <= 2
