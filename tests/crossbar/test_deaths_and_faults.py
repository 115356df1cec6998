"""Deaths are told in time, and each fault of Crossbar that the engine avoids is really there.

If one of the latter fails, Crossbar or autobahn has mended the fault, and its avoidance can go.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import light_board
import pytest
import pytest_twisted
from crossbar_router import CrossbarRouter, require_crossbar
from engine_contract import DEMO, Served, Watcher, joined, pair, place, until
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater

from rkllm_twisted.fleet.errors import BoardLost, BoardsBusy, FleetError, RouterLost
from rkllm_twisted.fleet.values import Role, board_uri

require_crossbar()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrossbarRouter]:
    router = CrossbarRouter(Path(tmp_path_factory.mktemp("router")))
    yield router
    router.stop()


@pytest.fixture
def fleet(router: CrossbarRouter) -> Iterator[CrossbarRouter]:
    yield router
    pytest_twisted.blockon(ensureDeferred(router.dismiss()))


@pytest.fixture
def process(router: CrossbarRouter) -> Iterator[subprocess.Popen[str]]:
    """A board in a process of its own, which has offered its URI."""
    router.key("b1", Role.BOARD)
    key = str(router.directory / "private" / "board-b1")
    url = f"ws://127.0.0.1:{router.port}"
    process = subprocess.Popen(
        [sys.executable, light_board.__file__, url, "b1", key], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "offered\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize(
    ("death", "seconds"), [(signal.SIGKILL, 2), (signal.SIGSTOP, 8)], ids=["SIGKILL", "SIGSTOP"]
)
async def test_the_death_of_a_board_s_process_is_told_in_time(
    fleet: CrossbarRouter, process: subprocess.Popen[str], death: int, seconds: float
) -> None:
    """The ping finds a process that is stopped: 2 s until it is sent, 3 s until it is missed."""
    front, watcher = fleet.engine("f1", Role.FRONT), Watcher()
    front.watch(watcher)
    await front.join()
    await until(lambda: "b1" in watcher.boards)
    begun: list[Any] = []
    answer = front.call(DEMO, {}, begun.append)
    await until(lambda: begun)
    process.send_signal(death)
    before = time.monotonic()
    with pytest.raises(BoardLost):
        await answer
    await until(lambda: not watcher.boards)
    assert time.monotonic() - before < seconds


async def test_a_router_s_death_is_told_and_its_return_needs_nobody(fleet: CrossbarRouter) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    fleet.stop()
    with pytest.raises(RouterLost):
        await answer
    await until(lambda: served.cancelled)
    fleet.start()
    await until(lambda: front.joined and board.joined, 60)
    answer = await place(front, served)
    served.answers[-1].callback("back")
    assert await answer == "back"


async def test_without_registering_anew_a_caller_that_breaks_off_takes_the_place_for_ever(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rkllm_twisted.fleet.wamp.offers import Offers

    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    monkeypatch.setattr(
        Offers, "_ended", lambda offers, serving, offer: offers._serving.remove(serving)
    )
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
    from rkllm_twisted.fleet.wamp import engine as module

    board, _ = await pair(fleet)
    await board.offer(board_uri("b1", "call"), Served())
    admin = await joined(fleet, "a1", Role.ADMIN)  # by WebSocket
    monkeypatch.setattr(module, "to_text", lambda payload: payload)
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


async def test_a_call_that_is_cancelled_twice_is_no_error(fleet: CrossbarRouter) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    answer.cancel()
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
