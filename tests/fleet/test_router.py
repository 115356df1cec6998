"""What runs inside the router: who may do what, and which sessions end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock, LoopingCall
from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent

pytest.importorskip("autobahn", reason="the extra fleet is not installed")

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import ComponentConfig

from rkllm_twisted.fleet.values import board_uri, model_uri
from rkllm_twisted.fleet.wamp import router
from rkllm_twisted.fleet.wamp.router import Access

KEY = "0" * 64


class AccessInTest(Access):
    """Asks a router whose sessions the test has.

    :ivar errors: what the router answers about a session, if it is an error.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(ComponentConfig(extra={"keys": str(directory)}))
        self.log = Logger()
        self.sessions: dict[int, str] = {}
        self.errors: dict[int, Exception] = {}

    def register(self, *_: Any, **__: Any) -> Deferred[None]:
        return succeed(None)

    def call(self, uri: str, *args: Any, **_: Any) -> Deferred[Any]:
        if uri == "wamp.session.list":
            return succeed(list(self.sessions))
        if args[0] in self.errors:
            return fail(self.errors[args[0]])
        if uri == "wamp.session.get":
            return succeed({"authid": self.sessions[args[0]]})
        del self.sessions[args[0]]
        return succeed(None)


@pytest.fixture
def access(tmp_path: Path) -> AccessInTest:
    """One that knows the board b1, which has joined."""
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "b1").write_text(KEY)
    access = AccessInTest(tmp_path)
    access._proved, access._missed = {("board", "b1"): KEY}, set()
    return access


@pytest.mark.parametrize(
    ("uri", "options", "is_allowed"),
    [
        (model_uri("Demo"), {"invoke": "roundrobin", "concurrency": 1}, True),
        (model_uri("Demo"), {"invoke": "roundrobin", "force_reregister": True}, False),
        (model_uri("Demo"), {"force_reregister": False}, True),
        (board_uri("b1", "run"), {"force_reregister": True}, True),
        (board_uri("b1", "run"), None, True),
        (board_uri("b2", "run"), {"force_reregister": True}, False),
    ],
)
def test_a_board_takes_by_force_what_is_its_own_only(
    access: AccessInTest, uri: str, options: Any, is_allowed: bool
) -> None:
    session = {"authid": "b1", "authrole": "board"}
    assert access.authorize(session, uri, "register", options)["allow"] is is_allowed


def leaves(access: AccessInTest) -> None:
    """The key of b1 goes, and is missed twice."""
    Path(access.config.extra["keys"], "board", "b1").unlink()
    access._look()
    access._look()


def test_the_sessions_of_a_key_that_is_gone_end(access: AccessInTest) -> None:
    access.sessions = {1: "b1", 2: "b2", 3: "b1"}
    leaves(access)
    assert access.sessions == {2: "b2"}
    assert not access._proved


@pytest.mark.parametrize(
    "error", [ApplicationError("wamp.error.runtime_error"), ConnectionError("lost")]
)
def test_a_session_that_could_not_be_ended_keeps_no_other_and_is_tried_again(
    access: AccessInTest, error: Exception
) -> None:
    access.sessions, access.errors = {1: "b1", 3: "b1"}, {1: error}
    with capturedLogs() as logged:
        leaves(access)
    assert access.sessions == {1: "b1"}
    assert [event["log_level"] for event in logged] == [LogLevel.error]
    access.errors.clear()
    access._look()
    assert not access.sessions


def test_a_session_that_has_left_meanwhile_needs_no_end(access: AccessInTest) -> None:
    access.sessions = {1: "b1"}
    access.errors = {1: ApplicationError(ApplicationError.NO_SUCH_SESSION)}
    leaves(access)
    assert not access._proved


def test_a_key_that_comes_while_the_sessions_of_the_old_one_end_counts(
    access: AccessInTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending: Deferred[None] = Deferred()
    monkeypatch.setattr(access, "_end", lambda *_: ending)
    leaves(access)
    access._proved["board", "b1"] = "1" * 64
    ending.callback(None)
    assert access._proved == {("board", "b1"): "1" * 64}


@pytest.mark.parametrize("content", [b"\xff\xfe" * 32, b"", b"z" * 64])
def test_a_file_that_holds_no_key_is_no_key(access: AccessInTest, content: bytes) -> None:
    Path(access.config.extra["keys"], "board", "b1").write_bytes(content)
    session = {"authid": "b1", "authrole": "board"}
    assert not access.authorize(session, board_uri("b1", "run"), "register", None)["allow"]


def test_the_end_of_the_looks_is_logged(
    access: AccessInTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look may end them; if one does, keys that are removed end no session any more."""
    clock = Clock()

    def looks(look: Any) -> LoopingCall:
        loop = LoopingCall(look)
        loop.clock = clock
        return loop

    def broken(role: str, name: str) -> str:
        raise ZeroDivisionError(name)

    monkeypatch.setattr(router, "LoopingCall", looks)
    access.onJoin(None)
    access._proved["board", "b1"] = KEY
    monkeypatch.setattr(access, "_key", broken)
    with capturedLogs() as logged:
        clock.advance(router.LOOK_S)
    assert [event["log_level"] for event in logged] == [LogLevel.error]
    assert "ZeroDivisionError" in str(formatEvent(logged[0]))
