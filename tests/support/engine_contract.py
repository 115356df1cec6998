"""The contract of IEngine: each provider's test module imports these tests.

The fixture ``fleet`` has ``engine(name, role)``, which makes a member that has not joined and is
made to leave after the test, and ``cut(engine)``, which breaks the member's connection; the member
comes back by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from rkllm_twisted.errors import InternalError, RuntimeCrashed
from rkllm_twisted.fleet.errors import (
    BoardLost,
    BoardsBusy,
    FleetError,
    NotOffered,
    NotPermitted,
    RouterLost,
    TooLarge,
)
from rkllm_twisted.fleet.values import MAX_SIZE, Invocation, Role, board_uri, model_uri

DEMO = model_uri("Demo")


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for a condition."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not come to pass")


@attrs.define
class Watcher:
    """Keeps what an engine reports."""

    boards: dict[str, Any] = attrs.field(factory=dict)
    lost: list[FleetError] = attrs.field(factory=list)
    times_connected: int = 0

    def connected(self) -> None:
        self.times_connected += 1

    def disconnected(self, reason: FleetError) -> None:
        self.lost.append(reason)
        self.boards.clear()

    def board_changed(self, board: str, state: Any) -> None:
        self.boards[board] = state

    def board_left(self, board: str) -> None:
        del self.boards[board]


@attrs.define
class Served:
    """Serves calls when the test says so."""

    calls: list[Invocation] = attrs.field(factory=list)
    answers: list[Deferred[Any]] = attrs.field(factory=list)
    cancelled: int = 0
    #: Ends as soon as it is cancelled; otherwise the test fires the answer.
    ends_at_once: bool = True

    def __call__(self, invocation: Invocation) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred(self._cancel)
        self.calls.append(invocation)
        self.answers.append(answer)
        if not self.ends_at_once:
            self.answers[-1] = Deferred()
            answer.addErrback(lambda _, ended: ended, self.answers[-1])
        return answer

    def _cancel(self, _: Deferred[Any]) -> None:
        self.cancelled += 1


async def joined(fleet: Any, name: str, role: Role) -> Any:
    engine = fleet.engine(name, role)
    await engine.join()
    return engine


async def pair(fleet: Any) -> tuple[Any, Any]:
    return await joined(fleet, "b1", Role.BOARD), await joined(fleet, "f1", Role.FRONT)


async def test_a_call_reaches_the_board_and_its_answer_comes_back(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = front.call(DEMO, {"params": [None, {"prompt_input": "é"}], "n": 0.5})
    await until(lambda: served.calls)
    assert served.calls[0].payload == {"params": [None, {"prompt_input": "é"}], "n": 0.5}
    assert served.calls[0].caller == "f1"
    served.answers[0].callback({"text": "ja", "board": "b1"})
    assert await answer == {"text": "ja", "board": "b1"}


async def test_progressive_results_come_in_order_before_the_answer(fleet: Any) -> None:
    board, front = await pair(fleet)

    def count(invocation: Invocation) -> Deferred[Any]:
        for number in range(50):
            invocation.progress({"text": str(number)})
        return succeed("end")

    await board.offer(DEMO, count, 1)
    seen: list[Any] = []
    assert await front.call(DEMO, {}, seen.append) == "end"
    assert seen == [{"text": str(number)} for number in range(50)]
    assert await front.call(DEMO, {}) == "end"


async def test_a_board_s_error_reaches_the_caller_unchanged(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    for _ in range(2):  # an error frees the place
        answer = front.call(DEMO, {})
        await until(lambda: served.answers and not served.answers[-1].called)
        served.answers[-1].errback(RuntimeCrashed("It died.", {"signal": 11}))
        with pytest.raises(RuntimeCrashed, match="It died") as caught:
            await answer
        assert caught.value.data == {"signal": 11}


async def test_any_other_exception_is_logged_on_the_board_only(
    fleet: Any, flush_logged_errors: Any
) -> None:
    board, front = await pair(fleet)

    def fail(invocation: Invocation) -> Deferred[Any]:
        raise ZeroDivisionError("a secret")

    await board.offer(DEMO, fail, 1)
    with pytest.raises(InternalError) as caught:
        await front.call(DEMO, {})
    assert "secret" not in str(caught.value)
    assert len(flush_logged_errors(ZeroDivisionError)) == 1


async def test_what_no_board_offers_is_told_at_once(fleet: Any) -> None:
    board, front = await pair(fleet)
    with pytest.raises(NotOffered):
        await front.call(DEMO, {})
    await board.offer(DEMO, Served(), 1)
    await board.withdraw(DEMO)
    await board.withdraw(DEMO)
    with pytest.raises(NotOffered):
        await front.call(DEMO, {})


async def test_a_shared_uri_goes_to_boards_without_a_call(fleet: Any) -> None:
    front = await joined(fleet, "f1", Role.FRONT)
    served = {}
    for name in ("b1", "b2", "b3"):
        served[name] = Served()
        await (await joined(fleet, name, Role.BOARD)).offer(DEMO, served[name], 1)
    answers = [front.call(DEMO, {}) for _ in range(3)]
    await until(lambda: all(one.calls for one in served.values()))
    with pytest.raises(BoardsBusy):
        await front.call(DEMO, {})
    served["b2"].answers[0].callback("free")
    await until(lambda: any(answer.called for answer in answers))
    again = front.call(DEMO, {})
    await until(lambda: len(served["b2"].calls) == 2)
    assert [len(one.calls) for one in served.values()] == [1, 2, 1]
    for one in served.values():
        one.answers[-1].callback("end")
    await again
    for answer in answers:
        await answer


async def test_a_board_s_own_uri_takes_calls_at_the_same_time(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(board_uri("b1", "run"), served)
    answers = [front.call(board_uri("b1", "run"), number) for number in range(3)]
    await until(lambda: len(served.calls) == 3)
    for number, answer in enumerate(served.answers):
        answer.callback(number)
    assert [await answer for answer in answers] == [0, 1, 2]


async def test_cancelling_fails_the_call_at_once_and_ends_the_work(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    seen: list[Any] = []
    answer = front.call(DEMO, {}, seen.append)
    await until(lambda: served.calls)
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    await until(lambda: served.cancelled)
    served.calls[0].progress("late")
    assert seen == []


async def place(front: Any, served: Served, uri: str = DEMO, seconds: float = 10) -> Deferred[Any]:
    """Call until a board takes the call, and return its answer."""
    for _ in range(int(seconds / 0.02)):
        before = len(served.calls)
        answer: Deferred[Any] = front.call(uri, {})
        await until(lambda: answer.called or len(served.calls) > before)  # noqa: B023
        if len(served.calls) > before:
            return answer
        try:
            await answer
        except (BoardsBusy, NotOffered):
            await deferLater(reactor, 0.02)
    raise AssertionError("no board took the call")


async def test_a_cancelled_call_frees_its_place(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    for _ in range(3):
        answer = await place(front, served)
        answer.cancel()
        with pytest.raises(CancelledError):
            await answer
    assert len(served.calls) == 3


async def test_a_caller_that_breaks_off_frees_its_place(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    for number in range(1, 4):
        other = await joined(fleet, f"f_{number}", Role.FRONT)
        answer = await place(other, served)
        fleet.cut(other)
        with pytest.raises(RouterLost):
            await answer
        await until(lambda: served.cancelled == number)  # noqa: B023 - awaited in the loop
    last = await place(front, served)
    served.answers[-1].callback("ok")
    assert await last == "ok"


async def test_a_place_is_held_until_the_work_has_ended(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served(ends_at_once=False)
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    await until(lambda: served.cancelled)
    for _ in range(5):
        with pytest.raises((BoardsBusy, NotOffered)):
            await front.call(DEMO, {})
        await deferLater(reactor, 0.02)
    served.ends_at_once = True
    served.answers[0].callback("ended")
    again = await place(front, served)
    served.answers[1].callback("second")
    assert await again == "second"


async def test_a_new_offer_waits_for_the_work_of_the_old_one(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    await board.withdraw(DEMO)
    again = board.offer(DEMO, served, 1)
    with pytest.raises((BoardsBusy, NotOffered)):
        await front.call(DEMO, {})
    assert not again.called
    served.answers[0].callback("old")
    assert await answer == "old"
    await again
    answer = await place(front, served)
    served.answers[1].callback("new")
    assert await answer == "new"


async def test_the_calls_of_a_withdrawn_offer_go_on(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    seen: list[Any] = []
    answer = front.call(DEMO, {}, seen.append)
    await until(lambda: served.calls)
    await board.withdraw(DEMO)
    served.calls[0].progress("still")
    served.answers[0].callback("end")
    assert await answer == "end"
    assert seen == ["still"]


async def test_a_lost_board_fails_its_calls_and_comes_back(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    fleet.cut(board)
    with pytest.raises(BoardLost):
        await answer
    await until(lambda: served.cancelled)
    again = await place(front, served)
    served.answers[-1].callback("back")
    assert await again == "back"


async def test_a_lost_connection_fails_the_front_s_calls(fleet: Any) -> None:
    board, _ = await pair(fleet)
    watcher = Watcher()
    other = fleet.engine("f2", Role.FRONT)
    other.watch(watcher)
    await other.join()
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(other, served)
    fleet.cut(other)
    with pytest.raises(RouterLost):
        await answer
    await until(lambda: watcher.times_connected == 2)
    assert [type(reason) for reason in watcher.lost] == [RouterLost]
    answer = await place(other, served)
    served.answers[-1].callback("back")
    assert await answer == "back"


async def test_what_is_asked_of_a_connection_that_ends_fails_like_what_is_under_way(
    fleet: Any,
) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    fleet.cut(board)
    board.announce({"model": "late"})
    served.calls[0].progress("late")
    with pytest.raises(BoardLost):
        await answer
    fleet.cut(front)
    with pytest.raises(RouterLost):
        await front.call(DEMO, {})
    await front.leave()


async def test_an_engine_that_has_left_refuses_calls_and_ends_what_was_under_way(
    fleet: Any,
) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    left = front.leave()
    with pytest.raises(RouterLost):
        await answer
    await left
    await front.leave()
    with pytest.raises(RouterLost):
        await front.call(DEMO, {})
    await until(lambda: served.cancelled)


async def test_before_it_has_joined_an_offer_waits_and_a_call_fails(fleet: Any) -> None:
    board, front = fleet.engine("b1", Role.BOARD), fleet.engine("f1", Role.FRONT)
    served = Served()
    offered = board.offer(DEMO, served, 1)
    with pytest.raises(RouterLost):
        await front.call(DEMO, {})
    assert not offered.called
    await board.join()
    await offered
    await front.join()
    answer = await place(front, served)
    served.answers[0].callback("ok")
    assert await answer == "ok"


async def test_states_are_shown_to_fronts_that_are_there_and_that_come(fleet: Any) -> None:
    early, late = Watcher(), Watcher()
    first = fleet.engine("f1", Role.FRONT)
    first.watch(early)
    await first.join()
    board = await joined(fleet, "b1", Role.BOARD)
    board.announce({"model": None})
    await until(lambda: early.boards == {"b1": {"model": None}})
    board.announce({"model": "Demo", "free": True})
    await until(lambda: early.boards == {"b1": {"model": "Demo", "free": True}})
    second = fleet.engine("f2", Role.ADMIN)
    second.watch(late)
    await second.join()
    await until(lambda: late.boards == early.boards)
    fleet.cut(board)
    await until(lambda: late.boards == early.boards == {})
    await until(lambda: late.boards == early.boards == {"b1": {"model": "Demo", "free": True}})
    await board.leave()
    await until(lambda: late.boards == early.boards == {})


async def test_fronts_see_what_is_offered(fleet: Any) -> None:
    board, front = await pair(fleet)
    other = await joined(fleet, "b2", Role.BOARD)
    for engine in (board, other):
        await engine.offer(DEMO, Served(), 1)
    await other.offer(board_uri("b2", "run"), Served())
    offers = {offer.uri: offer.boards for offer in await front.list_offers()}
    assert offers == {DEMO: 2, board_uri("b2", "run"): 1}
    with pytest.raises(NotPermitted):
        await board.list_offers()


async def test_a_second_offer_of_a_uri_by_one_member_is_a_fault_of_its_program(fleet: Any) -> None:
    board, _ = await pair(fleet)
    await board.offer(DEMO, Served(), 1)
    with pytest.raises(ValueError, match="already"):
        board.offer(DEMO, Served(), 1)


async def test_a_board_offers_its_own_name_only(fleet: Any) -> None:
    board, front = await pair(fleet)
    for uri in (board_uri("b2", "run"), board_uri("b2", "call"), "rkllm.other", "rkllm.model.run"):
        with pytest.raises(NotPermitted):
            await board.offer(uri, Served())
    await board.offer(board_uri("b1", "run"), Served())
    with pytest.raises(NotPermitted):
        await front.offer(DEMO, Served(), 1)


async def test_boards_call_nothing_and_fronts_no_administration(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, Served(), 1)
    await board.offer(board_uri("b1", "call"), served)
    with pytest.raises(NotPermitted):
        await board.call(DEMO, {})
    with pytest.raises(NotPermitted):
        await front.call(board_uri("b1", "call"), {})
    admin = await joined(fleet, "a1", Role.ADMIN)
    answer = admin.call(board_uri("b1", "call"), {})
    await until(lambda: served.calls)
    served.answers[0].callback("done")
    assert await answer == "done"


async def test_the_newer_member_of_a_name_replaces_the_older_one(fleet: Any) -> None:
    """Both are told, and the older one does not come back while the newer one is there."""
    board, watcher = fleet.engine("b1", Role.BOARD), Watcher()
    board.watch(watcher)
    await board.join()
    front, seen = fleet.engine("f1", Role.FRONT), Watcher()
    front.watch(seen)
    await front.join()
    old, new = Served(), Served()
    uri = board_uri("b1", "run")
    board.announce({"state": "old"})
    await board.offer(uri, old)
    await board.offer(DEMO, old, 1)
    with capturedLogs() as logged:
        newer = await joined(fleet, "b1", Role.BOARD)
        newer.announce({"state": "new"})
        await newer.offer(uri, new)
        await until(lambda: watcher.lost)
    assert sum("replaces" in str(event.get("log_format")) for event in logged) == 1
    assert isinstance(watcher.lost[0], NotPermitted)
    assert "Another process has joined as b1" in str(watcher.lost[0])
    assert not board.joined
    answer = await place(front, new, uri)
    new.answers[0].callback("newer")
    assert await answer == "newer"
    assert not old.calls
    with pytest.raises(NotOffered):
        await front.call(DEMO, {})
    await until(lambda: seen.boards == {"b1": {"state": "new"}})
    assert watcher.times_connected == 1
    await newer.leave()
    await until(lambda: not seen.boards)


async def test_what_is_too_large_is_not_sent(fleet: Any) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    with pytest.raises(TooLarge):
        await front.call(DEMO, "x" * MAX_SIZE)
    answer = await place(front, served)
    with pytest.raises(TooLarge):
        served.calls[0].progress("x" * MAX_SIZE)
    served.answers[0].callback("x" * MAX_SIZE)
    with pytest.raises(InternalError, match="too many"):
        await answer
    assert front.joined
    assert board.joined


async def test_the_largest_payload_goes_both_ways(fleet: Any) -> None:
    board, front = await pair(fleet)
    await board.offer(DEMO, lambda invocation: succeed(invocation.payload), 1)
    text = "é" * (MAX_SIZE // 2 - 1)
    assert len(msgspec.json.encode(text)) == MAX_SIZE
    assert await front.call(DEMO, text) == text
    numbers = [0.5] * 100_000
    assert await front.call(DEMO, numbers) == numbers


async def test_a_state_has_a_limit(fleet: Any) -> None:
    board, _ = await pair(fleet)
    with pytest.raises(ValueError, match="too large"):
        board.announce({"model": "x" * 70_000})
