"""The fake engine keeps the contract of engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from engine_contract import *  # noqa: F403 - the tests are the names

from rkllm_twisted.fleet.values import Role
from rkllm_twisted.testing.fleet import InMemoryRouter
from rkllm_twisted.testing.fleet_engine import InMemoryEngine


@attrs.define
class MemoryFleet:
    router: InMemoryRouter = attrs.field(factory=InMemoryRouter)
    engines: list[InMemoryEngine] = attrs.field(factory=list)

    def engine(self, name: str, role: Role) -> InMemoryEngine:
        self.engines.append(self.router.engine(name, role))
        return self.engines[-1]

    def cut(self, engine: InMemoryEngine) -> None:
        from twisted.internet import reactor

        self.router.disconnect(engine)
        reactor.callLater(0.05, self.router.reconnect, engine)  # type: ignore[attr-defined]


@pytest.fixture
def fleet() -> Iterator[Any]:
    fleet = MemoryFleet()
    yield fleet
    for engine in fleet.engines:
        engine.leave()


async def test_a_router_that_refuses_a_key_is_told_at_the_first_attempt(fleet: Any) -> None:
    watcher = Watcher()  # noqa: F405
    fleet.router.refuse("f1")
    front = fleet.engine("f1", Role.FRONT)
    front.watch(watcher)
    with pytest.raises(NotPermitted):  # noqa: F405
        await front.join()
    assert not front.joined
    fleet.router.accept("f1")
    assert front.joined
    assert watcher.times_connected == 1


async def test_a_replaced_member_is_not_connected_while_the_newer_one_is_there(fleet: Any) -> None:
    older, watcher = fleet.engine("b1", Role.BOARD), Watcher()  # noqa: F405
    newer = fleet.engine("b1", Role.BOARD)
    older.watch(watcher)
    for member in (older, newer):
        await member.join()
        await member.offer(board_uri("b1", "run"), Served())  # noqa: F405
    fleet.router.reconnect(older)
    assert len(watcher.lost) == 2
    assert watcher.times_connected == 1
    await newer.leave()
    fleet.router.reconnect(older)
    assert watcher.times_connected == 2


async def test_members_wait_for_a_router_that_is_down(fleet: Any) -> None:
    fleet.router.stop()
    front = fleet.engine("f1", Role.FRONT)
    joining = front.join()
    assert not joining.called
    fleet.router.start()
    await joining
