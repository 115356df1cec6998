"""When the runtime's process is taken for stopped, and when for fresh."""

from __future__ import annotations

from twisted.internet.task import Clock

from rkllm_twisted.isolation.child import HEARTBEAT_FD
from rkllm_twisted.isolation.process import (
    ALIVE_S,
    HEARTBEAT_TIMEOUT_S,
    START_TIMEOUT_S,
    ChildProcess,
)


class Signals:
    """The transport of a process: takes signals."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def signalProcess(self, signal: str) -> None:
        """Note it."""
        self.sent.append(signal)


class Scene:
    """A process that has just been started, on the test's clock."""

    def __init__(self) -> None:
        self.clock, self.signals = Clock(), Signals()
        self.child = ChildProcess(self.clock, lambda child: None)
        self.child.transport = self.signals  # type: ignore[assignment]


def test_the_first_heartbeat_may_take_a_minute() -> None:
    """Python and the library are read from a slow card, while everything else starts as well."""
    scene = Scene()
    scene.clock.advance(START_TIMEOUT_S - 1)
    assert scene.child.is_alive()
    assert scene.signals.sent == []
    scene.clock.advance(1)
    assert not scene.child.is_alive()
    assert scene.signals.sent == ["KILL"]


def test_a_heart_that_stops_is_noticed_soon() -> None:
    """First it is no longer fresh, and no sign of life goes to systemd; then it is killed."""
    scene = Scene()
    scene.clock.advance(1)
    scene.child.childDataReceived(HEARTBEAT_FD, b".")
    scene.clock.advance(ALIVE_S - 0.1)
    assert scene.child.is_alive()
    scene.clock.advance(0.2)
    assert not scene.child.is_alive()
    assert scene.signals.sent == []
    scene.clock.advance(HEARTBEAT_TIMEOUT_S - ALIVE_S)
    assert scene.signals.sent == ["KILL"]
