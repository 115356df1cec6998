"""The heartbeat distinguishes a child that has stopped from a daemon that was paused."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from rkllm_twisted.isolation.heartbeat import (
    CHECK_INTERVAL_S,
    MAX_MISSED,
    MAX_MISSED_ALIVE,
    MAX_START_CHECKS,
    Heartbeat,
)


class Scene:
    """A child that has just been started, on the test's clock.

    :ivar unread: heartbeats that the pipe holds.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.unread = 0
        self.silences = 0
        self.heartbeat = Heartbeat(self.clock, self._read, self._on_silence)

    def _read(self) -> None:
        if self.unread:
            self.unread = 0
            self.heartbeat.beat()

    def _on_silence(self) -> None:
        self.silences += 1

    def checks(self, number: int) -> None:
        """Advance the clock by a number of checks, one by one."""
        for _ in range(number):
            self.clock.advance(CHECK_INTERVAL_S)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_first_heartbeat_may_take_a_minute(scene: Scene) -> None:
    """A board reads Python and the library from a slow card while other services start."""
    scene.checks(MAX_START_CHECKS - 1)
    assert scene.heartbeat.is_alive()
    assert not scene.silences
    scene.checks(1)
    assert not scene.heartbeat.is_alive()
    assert scene.silences == 1


def test_a_heartbeat_that_stops_is_noticed_soon(scene: Scene) -> None:
    """``is_alive`` turns false first; later the child counts as stopped."""
    scene.heartbeat.beat()
    scene.checks(MAX_MISSED_ALIVE)
    assert scene.heartbeat.is_alive()
    scene.checks(1)
    assert not scene.heartbeat.is_alive()
    assert not scene.silences
    scene.checks(MAX_MISSED - MAX_MISSED_ALIVE - 1)
    assert scene.silences == 1
    assert scene.clock.getDelayedCalls() == []


def test_heartbeats_that_are_unread_count(scene: Scene) -> None:
    """A busy or paused reactor has not read the heartbeats yet."""
    scene.heartbeat.beat()
    scene.checks(MAX_MISSED - 1)
    scene.unread = 3
    scene.checks(1)
    assert scene.heartbeat.is_alive()
    assert not scene.silences


@pytest.mark.parametrize("seconds", [12, 400])
def test_a_pause_of_daemon_and_child_is_one_check(scene: Scene, seconds: float) -> None:
    """The paused child has sent no heartbeat and gets time to continue."""
    scene.heartbeat.beat()
    scene.clock.advance(seconds)
    assert scene.heartbeat.is_alive()
    scene.checks(MAX_MISSED_ALIVE - 1)
    assert scene.heartbeat.is_alive()
    scene.checks(MAX_MISSED - MAX_MISSED_ALIVE)
    assert scene.silences == 1


def test_stopping_ends_the_checks(scene: Scene) -> None:
    """Calling stop twice does no harm."""
    scene.heartbeat.stop()
    scene.heartbeat.stop()
    assert scene.clock.getDelayedCalls() == []
