"""What runs inside the router: who may do what, and which sessions end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

pytest.importorskip("autobahn", reason="the extra fleet is not installed")

from autobahn.wamp.types import ComponentConfig

from rkllm_twisted.fleet.values import board_uri, model_uri
from rkllm_twisted.fleet.wamp.router import Access

KEY = "0" * 64


class AccessInTest(Access):
    """Asks a router whose sessions the test has.

    :ivar errors: what the router answers about a session, if it is an error.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(ComponentConfig(extra={"keys": str(directory)}))
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
