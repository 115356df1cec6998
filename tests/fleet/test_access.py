"""The rules of a fleet allow each role its own actions, and no others."""

from __future__ import annotations

import pytest

from rkllm_twisted.fleet.access import allowed


@pytest.mark.parametrize(
    ("role", "action", "uri"),
    [
        ("board", "register", "rkllm.model.demo.run"),
        ("board", "register", "rkllm.board.b1.run"),
        ("board", "register", "rkllm.board.b1.call"),
        ("board", "register", "rkllm.board.b1.state"),
        ("board", "publish", "rkllm.board.b1.status"),
        ("front", "call", "rkllm.model.demo.run"),
        ("front", "call", "rkllm.board.b2.run"),
        ("front", "call", "rkllm.board.b2.state"),
        ("front", "call", "wamp.registration.list"),
        ("front", "subscribe", "wamp.registration.on_delete"),
        ("admin", "call", "rkllm.board.b2.call"),
        ("admin", "call", "rkllm.model.demo.run"),
    ],
)
def test_what_is_allowed(role: str, action: str, uri: str) -> None:
    assert allowed(role, "b1", action, uri)


@pytest.mark.parametrize(
    ("role", "action", "uri"),
    [
        ("board", "register", "rkllm.board.b2.run"),
        ("board", "register", "rkllm.board.b1"),
        ("board", "register", "rkllm.board.b1.other"),
        ("board", "register", "rkllm.model..run"),
        ("board", "register", "rkllm.router.authorize"),
        ("board", "publish", "rkllm.board.b2.status"),
        ("board", "publish", "rkllm.board.b1.run"),
        ("board", "call", "rkllm.model.demo.run"),
        ("board", "call", "rkllm.board.b1.run"),
        ("board", "call", "wamp.registration.list"),
        ("board", "subscribe", "rkllm.board.b1.status"),
        ("front", "register", "rkllm.model.demo.run"),
        ("front", "publish", "rkllm.board.b1.status"),
        ("front", "call", "rkllm.board.b1.call"),
        ("front", "call", "rkllm.router.authenticate"),
        ("front", "call", "wamp.session.kill"),
        ("admin", "call", "wamp.registration.remove_callee"),
        ("", "call", "rkllm.model.demo.run"),
        ("access", "call", "rkllm.model.demo.run"),
    ],
)
def test_what_is_refused(role: str, action: str, uri: str) -> None:
    assert not allowed(role, "b1", action, uri)


@pytest.mark.parametrize("match", ["prefix", "wildcard"])
def test_a_board_registers_whole_names_only(match: str) -> None:
    assert not allowed("board", "b1", "register", "rkllm.model.demo.run", match)
    assert not allowed("board", "b1", "register", "rkllm.board.b1.run", match)


def test_a_front_follows_the_boards_states() -> None:
    assert allowed("front", "f1", "subscribe", "rkllm.board..status", "wildcard")
    assert not allowed("front", "f1", "subscribe", "rkllm.", "prefix")
