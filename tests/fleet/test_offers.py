"""What a member offers while others have, take or leave its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from engine_contract import DEMO, Served, Watcher
from twisted.internet import reactor
from twisted.internet.defer import Deferred

pytest.importorskip("autobahn", reason="the extra fleet is not installed")

from autobahn.wamp.exception import ApplicationError

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.errors import NotPermitted
from rkllm_twisted.fleet.values import Role, board_uri
from rkllm_twisted.fleet.wamp.engine import WAMPEngine

CALL, RUN = board_uri("b1", "call"), board_uri("b1", "run")


@attrs.frozen
class Registered:
    id: int


@attrs.define(eq=False)
class Session:
    """A session of a router that answers when the test says so."""

    asked: list[tuple[str, bool, Deferred[Any]]] = attrs.field(factory=list)
    is_dropped: bool = False

    def register(self, _: Any, uri: str, options: Any) -> Deferred[Any]:
        self.asked.append((uri, bool(options.force_reregister), Deferred()))
        return self.asked[-1][2]

    def drop(self) -> None:
        self.is_dropped = True

    @property
    def uris(self) -> list[str]:
        """What the router has not answered."""
        return [uri for uri, _, _ in self.asked]

    def accept(self) -> list[tuple[str, bool]]:
        """Answer everything; what it was, and whether by force."""
        answered = []
        while self.asked:
            uri, by_force, answer = self.asked.pop(0)
            answered.append((uri, by_force))
            answer.callback(Registered([CALL, RUN, DEMO].index(uri)))
        return answered

    def refuse(self) -> None:
        """Say of the first that another connection has it."""
        error = ApplicationError("wamp.error.procedure_already_exists")
        self.asked.pop(0)[2].errback(error)


@attrs.define
class Board:
    engine: WAMPEngine
    watcher: Watcher

    def join(self) -> Session:
        session = Session()
        self.engine._accepted(session)  # type: ignore[arg-type]
        return session


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A board with two URIs of its own, and one that it shares."""
    keys.make(tmp_path / "key")
    key: Any = keys.read(tmp_path / "key")
    board = Board(WAMPEngine(reactor, "unix:/none", "b1", Role.BOARD, key), Watcher())
    board.engine.watch(board.watcher)
    for uri, concurrency in [(CALL, None), (RUN, None), (DEMO, 1)]:
        board.engine.offer(uri, Served(), concurrency).addErrback(lambda _: None)
    return board


@pytest.fixture
def replaced(board: Board) -> Board:
    """The same, whose name another connection has taken."""
    session = board.join()
    session.accept()
    board.engine._offers.unregistered(0)
    assert session.is_dropped
    return board


def test_a_shared_offer_that_the_router_ends_changes_nothing(board: Board) -> None:
    """It is no sign of another connection of this name."""
    session = board.join()
    session.accept()
    board.engine._offers.unregistered(2)
    assert board.engine.joined
    assert not session.is_dropped
    assert not board.watcher.lost


def test_the_end_of_a_board_s_own_offer_puts_it_out(replaced: Board) -> None:
    assert not replaced.engine.joined
    assert [type(reason) for reason in replaced.watcher.lost] == [NotPermitted]


def test_a_board_that_was_replaced_asks_first_whether_its_name_is_free(replaced: Board) -> None:
    assert replaced.join().uris == [CALL]


@pytest.mark.parametrize("uri", [DEMO, RUN])
def test_what_a_replaced_board_offers_anew_waits_for_its_name(replaced: Board, uri: str) -> None:
    """Otherwise its success would be taken for a free name, and the others be taken by force."""
    replaced.engine.withdraw(uri)
    session = replaced.join()
    replaced.engine.offer(uri, Served(), 1 if uri == DEMO else None)
    assert session.uris == [CALL]
    session.refuse()
    assert session.is_dropped
    assert session.uris == []


def test_a_board_whose_name_is_free_again_offers_everything(replaced: Board) -> None:
    assert replaced.join().accept() == [(CALL, False), (RUN, False), (DEMO, False)]


def test_a_replaced_board_is_connected_only_once_its_name_is_free(replaced: Board) -> None:
    assert replaced.watcher.times_connected == 1
    replaced.join().refuse()
    assert replaced.watcher.times_connected == 1
    session = replaced.join()
    assert replaced.watcher.times_connected == 1
    session.accept()
    assert replaced.watcher.times_connected == 2
