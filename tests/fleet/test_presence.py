"""How a front learns which boards there are."""

from __future__ import annotations

from typing import Any

import pytest
from engine_contract import Watcher
from twisted.internet.defer import Deferred, ensureDeferred, succeed

pytest.importorskip("autobahn", reason="the extra fleet is not installed")

from rkllm_twisted.fleet.wamp.presence import AT_ONCE, Presence


class SlowSession:
    """A session of a router that answers when the test says so."""

    def __init__(self, boards: int) -> None:
        self.numbers = [*range(boards)]
        self.asked: list[tuple[Deferred[Any], Any]] = []
        self.subscribed: dict[str, Any] = {}

    def subscribe(self, receive: Any, uri: str, **_: Any) -> Deferred[None]:
        self.subscribed[uri] = receive
        return succeed(None)

    def call(self, uri: str, *args: Any) -> Deferred[Any]:
        match uri.split("."):
            case ["wamp", "registration", "list"]:
                return succeed({"exact": self.numbers})
            case ["wamp", "registration", "get"]:
                answer: Any = {"id": args[0], "uri": f"rkllm.board.b{args[0]}.state"}
            case _:
                answer = '{"model": null}'
        waiting: Deferred[Any] = Deferred()
        self.asked.append((waiting, answer))
        return waiting


def test_a_front_that_joins_many_boards_does_not_flood_the_router() -> None:
    session, watcher = SlowSession(3 * AT_ONCE + 1), Watcher()
    presence = Presence(session, watcher)
    done = ensureDeferred(presence.start())
    while session.asked:
        assert len(session.asked) <= 2 * AT_ONCE  # what is there, and the states of those before
        waiting, answer = session.asked.pop(0)
        waiting.callback(answer)
    assert done.called
    assert len(watcher.boards) == len(session.numbers)


def test_what_is_listed_late_replaces_no_newer_connection_of_a_board() -> None:
    """Otherwise the end of the newer one would be that of an unknown one."""
    session, watcher = SlowSession(1), Watcher()
    ensureDeferred(Presence(session, watcher).start())
    listed, answer = session.asked.pop(0)
    newer = {"id": 7, "uri": "rkllm.board.b0.state"}
    session.subscribed["wamp.registration.on_create"](None, newer)
    listed.callback(answer)
    while session.asked:
        waiting, state = session.asked.pop(0)
        waiting.callback(state)
    assert watcher.boards == {"b0": {"model": None}}
    session.subscribed["wamp.registration.on_delete"](None, 7)
    assert not watcher.boards


def test_a_board_that_has_replaced_another_is_seen_to_leave() -> None:
    """Even if the router says nothing about the end of the earlier connection."""
    session, watcher = SlowSession(0), Watcher()
    ensureDeferred(Presence(session, watcher).start())
    for number in (1, 2):
        created = {"id": number, "uri": "rkllm.board.b0.state"}
        session.subscribed["wamp.registration.on_create"](None, created)
    for waiting, state in session.asked:
        waiting.callback(state)
    assert watcher.boards == {"b0": {"model": None}}
    session.subscribed["wamp.registration.on_delete"](None, 2)
    assert not watcher.boards
