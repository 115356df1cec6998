"""Each fault of Crossbar and autobahn that the engine avoids is really there.

A test takes the avoidance out. If it fails, the fault is mended upstream and the avoidance can go.
That a test of the contract fails without the avoidance is what ``make guards`` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.types import CallOptions, RegisterOptions
from crossbar_router import CrossbarRouter, require_crossbar
from engine_contract import DEMO, Served, joined, pair, place, until
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.fleet.errors import BoardLost, BoardsBusy, FleetError, RouterLost
from rkllm_twisted.fleet.values import Role, board_uri
from rkllm_twisted.fleet.wamp import engine as engine_module
from rkllm_twisted.fleet.wamp import offers as offers_module
from rkllm_twisted.fleet.wamp import session as session_module
from rkllm_twisted.fleet.wamp.offers import Offers

require_crossbar()

#: A realm beside the fleet's that is the same but for a queue, of one call.
QUEUED = "queued"


def with_a_queue(configuration: dict[str, Any]) -> None:
    """Add the realm to a router's configuration."""
    (worker,) = configuration["workers"]
    queue = {"uri": DEMO, "match": "exact", "limit": 1}
    store = {"type": "memory", "limit": 1, "call-queue": [queue]}
    worker["realms"].append({**worker["realms"][0], "name": QUEUED, "store": store})
    worker["components"].append({**worker["components"][0], "realm": QUEUED})


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrossbarRouter]:
    router = CrossbarRouter(Path(tmp_path_factory.mktemp("router")), with_a_queue)
    yield router
    router.stop()


@pytest.fixture
def queued(fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch) -> CrossbarRouter:
    """Members join the realm that has a queue."""
    monkeypatch.setattr(session_module, "REALM", QUEUED)
    return fleet


def without_registering_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the registration whose count may be wrong."""
    monkeypatch.setattr(
        Offers, "_ended", lambda offers, serving, offer: offers._serving.remove(serving)
    )


def with_more(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, **more: Any) -> None:
    """Add options to all of autobahn's class of this name."""
    options: Callable[..., Any] = {"CallOptions": CallOptions, "RegisterOptions": RegisterOptions}[
        name
    ]
    monkeypatch.setattr(module, name, lambda **given: options(**{**given, **more}))


async def test_a_queue_does_not_look_at_its_limit(queued: CrossbarRouter) -> None:
    board, front = await pair(queued)
    served = Served()
    await board.offer(DEMO, served, 1)
    answers = [front.call(DEMO, number) for number in range(5)]
    await deferLater(reactor, 0.5)
    assert not any(answer.called for answer in answers)
    for number, answer in enumerate(answers):
        await until(lambda count=number: len(served.calls) > count)
        served.answers[number].callback(None)
        await answer


async def test_a_queue_runs_calls_that_were_cancelled_and_those_of_callers_that_left(
    queued: CrossbarRouter,
) -> None:
    board, front = await pair(queued)
    served = Served()
    await board.offer(DEMO, served, 1)
    first = await place(front, served)
    cancelled = front.call(DEMO, "cancelled")
    other = await joined(queued, "f2", Role.FRONT)
    left = other.call(DEMO, "left")
    await deferLater(reactor, 0.2)
    cancelled.cancel()
    await other.leave()
    with pytest.raises(CancelledError):
        await cancelled
    with pytest.raises(RouterLost):
        await left
    served.answers[0].callback(None)
    await first
    for number, payload in enumerate(["cancelled", "left"], 1):
        await until(lambda count=number: len(served.calls) > count)
        assert served.calls[number].payload == payload
        served.answers[number].callback(None)


async def test_a_queue_stops_at_an_error(queued: CrossbarRouter) -> None:
    board, front = await pair(queued)
    served = Served()
    await board.offer(DEMO, served, 1)
    first = await place(front, served)
    waiting = front.call(DEMO, {})
    await deferLater(reactor, 0.2)
    served.answers[0].errback(InvalidParams("no"))
    with pytest.raises(InvalidParams):
        await first
    await deferLater(reactor, 1)
    assert len(served.calls) == 1
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting


async def test_the_policy_random_ignores_the_limit(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_more(monkeypatch, offers_module, "RegisterOptions", invoke="random")
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answers = [await place(front, served) for _ in range(3)]
    for one, answer in zip(served.answers, answers, strict=True):
        one.callback(None)
        await answer


@pytest.mark.parametrize("policy", ["first", "last"])
async def test_the_policies_first_and_last_do_not_look_further(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    with_more(monkeypatch, offers_module, "RegisterOptions", invoke=policy)
    board, front = await pair(fleet)
    served = Served()
    for one in (board, await joined(fleet, "b2", Role.BOARD)):
        await one.offer(DEMO, served, 1)
    answer = await place(front, served)
    with pytest.raises(BoardsBusy):
        await front.call(DEMO, {})
    served.answers[0].callback(None)
    await answer


async def test_a_call_takes_as_long_as_it_takes(fleet: CrossbarRouter) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = front.call(DEMO, {}, lambda _: None)
    await deferLater(reactor, 2)
    served.answers[0].callback("late")
    assert await answer == "late"


async def test_a_timeout_of_a_second_ends_a_call_and_takes_the_place_for_ever(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller cannot tell it from a board that is lost."""
    with_more(monkeypatch, engine_module, "CallOptions", timeout=1)
    without_registering_anew(monkeypatch)
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    with pytest.raises(BoardLost, match="timeout"):
        await front.call(DEMO, {}, lambda _: None)
    await until(lambda: served.cancelled)
    await deferLater(reactor, 0.5)
    with pytest.raises(BoardsBusy):
        await front.call(DEMO, {})


async def test_a_timeout_is_counted_in_seconds_and_not_in_milliseconds(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_more(monkeypatch, engine_module, "CallOptions", timeout=500)
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = front.call(DEMO, {}, lambda _: None)
    await deferLater(reactor, 2)
    assert not answer.called
    served.answers[0].callback("late")
    assert await answer == "late"


async def test_details_of_a_progressive_result_without_keywords_end_the_session(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_more(monkeypatch, engine_module, "CallOptions", details=True)
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = front.call(DEMO, {}, lambda _: None)
    await until(lambda: served.calls)
    served.calls[0].progress("token")
    with pytest.raises(RouterLost):
        await answer
    monkeypatch.undo()
    await until(lambda: front.joined)


async def test_without_registering_anew_a_caller_that_breaks_off_takes_the_place_for_ever(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_registering_anew(monkeypatch)
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    other = await joined(fleet, "f2", Role.FRONT)
    answer = await place(other, served)
    fleet.cut(other)
    with pytest.raises(RouterLost):
        await answer
    await until(lambda: served.cancelled)
    await deferLater(reactor, 0.5)
    with pytest.raises(BoardsBusy):
        await front.call(DEMO, {})


async def test_a_message_of_20_mb_ends_a_websocket_s_session_if_it_is_sent(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, _ = await pair(fleet)
    await board.offer(board_uri("b1", "call"), Served())
    admin = await joined(fleet, "a1", Role.ADMIN)  # by WebSocket
    monkeypatch.setattr(engine_module, "to_text", lambda payload: payload)
    admin._session._transport.maxMessagePayloadSize = 0  # the connection's own limit
    with pytest.raises(FleetError) as caught:
        await admin.call(board_uri("b1", "call"), f'"{"x" * 20_000_000}"')
    assert isinstance(caught.value, RouterLost)
    monkeypatch.undo()
    await until(lambda: admin.joined)


async def test_cancelling_by_autobahn_s_own_way_frees_a_place_that_is_in_use(
    fleet: CrossbarRouter,
) -> None:
    """Without a mode the router counts the call as ended while the board still works at it."""
    board, front = await pair(fleet)
    served = Served(ends_at_once=False)
    await board.offer(DEMO, served, 1)
    reply: Deferred[Any] = front._session.call(DEMO, "{}")
    reply.addErrback(lambda failure: failure.value)
    await until(lambda: served.calls)
    reply.cancel()
    await until(lambda: served.cancelled)
    assert reply.called
    assert not served.answers[0].called
    served.answers[0].callback(None)
