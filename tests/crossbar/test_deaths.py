"""The engine over a real router tells deaths in time, and comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import light_board
import pytest
from crossbar_router import CrossbarRouter, require_crossbar
from engine_contract import DEMO, Served, Watcher, pair, place, until
from twisted.internet.defer import CancelledError

from rkllm_twisted.fleet.errors import BoardLost, RouterLost
from rkllm_twisted.fleet.values import Role

require_crossbar()


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


async def test_a_call_that_is_cancelled_twice_is_no_error(fleet: CrossbarRouter) -> None:
    board, front = await pair(fleet)
    served = Served()
    await board.offer(DEMO, served, 1)
    answer = await place(front, served)
    answer.cancel()
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
