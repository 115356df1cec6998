"""Notifications to systemd: ready, status, watchdog; each value is one line."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rkllm_twisted.systemd.sd_daemon import NotifySocket
from rkllm_twisted.systemd.service import ReportingService


class Reactor(Clock):
    """A clock, and a reactor that does not run yet."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[object] = []

    def callWhenRunning(self, what: object) -> None:
        """Keep the call for :meth:`begin`."""
        self.waiting.append(what)

    def begin(self) -> None:
        """Run the calls."""
        for what in self.waiting:
            what()  # type: ignore[operator]


class Worker(Service):
    """A service with a state."""

    state, alive = "idle", True

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def summary(self) -> str:
        """The state."""
        return self.state

    def is_alive(self) -> bool:
        """The value that the test has set."""
        return self.alive

    def stopService(self) -> Deferred[None]:
        """A Deferred that the test fires."""
        return self.stopped


class Scene:
    """A worker, the service around it, and the notifications that it sent."""

    def __init__(self, watchdog: float | None = 8.0) -> None:
        self.reactor, self.worker = Reactor(), Worker()
        self.sent: list[Mapping[str, str]] = []
        self.service = ReportingService(
            self.reactor,
            self.sent.append,
            watchdog,
            self.worker,
            self.worker.summary,
            self.worker.is_alive,
        )
        self.service.startService()

    def heartbeats(self, seconds: float) -> list[float]:
        """Advance the clock; return the times at which the watchdog was fed."""
        given = []
        for _ in range(round(seconds * 10)):
            before = self.sent.count({"WATCHDOG": "1"})
            self.reactor.advance(0.1)
            if self.sent.count({"WATCHDOG": "1"}) > before:
                given.append(round(self.reactor.seconds(), 1))
        return given


def test_ready_is_sent_when_the_reactor_runs() -> None:
    """Starting the service alone does not send it."""
    scene = Scene(watchdog=None)
    assert scene.sent == []
    scene.reactor.begin()
    assert scene.sent == [{"READY": "1", "STATUS": "idle"}]


def test_a_service_that_was_stopped_before_is_never_ready() -> None:
    """A signal may stop it before the reactor runs."""
    scene = Scene()
    scene.service.stopService()
    scene.reactor.begin()
    assert not any("READY" in news for news in scene.sent)


def test_the_state_is_sent_when_it_changes() -> None:
    """An unchanged state is not sent, since each notification wakes systemd."""
    scene = Scene(watchdog=None)
    scene.reactor.begin()
    scene.reactor.pump([1] * 5)
    scene.worker.state = "busy"
    scene.reactor.pump([1] * 5)
    assert scene.sent[1:] == [{"STATUS": "busy"}]


def test_the_watchdog_is_fed_twice_in_its_time() -> None:
    """sd_watchdog_enabled(3) recommends it."""
    scene = Scene(watchdog=8.0)
    scene.reactor.begin()
    assert scene.sent[-1] == {"WATCHDOG": "1"}
    assert scene.heartbeats(17) == pytest.approx([4, 8, 12, 16], abs=0.15)


def test_without_a_watchdog_nothing_is_fed() -> None:
    """systemd has not asked for it."""
    scene = Scene(watchdog=None)
    scene.reactor.begin()
    assert scene.heartbeats(100) == []


def test_a_service_that_hangs_does_not_feed_the_watchdog() -> None:
    """Else a hung NPU would look healthy. A late notification is sent as soon as it may."""
    scene = Scene(watchdog=8.0)
    scene.reactor.begin()
    scene.worker.alive = False
    assert scene.heartbeats(10.5) == []
    scene.worker.alive = True
    assert scene.heartbeats(1) == pytest.approx([11], abs=0.15)


def test_the_watchdog_is_fed_while_the_service_stops() -> None:
    """The run under way may end, which may take longer than the watchdog waits."""
    scene = Scene(watchdog=8.0)
    scene.reactor.begin()
    stopped = scene.service.stopService()
    assert scene.sent[-1]["STOPPING"] == "1"
    assert scene.heartbeats(5) == pytest.approx([4], abs=0.15)
    scene.worker.stopped.callback(None)
    assert stopped.called
    assert scene.heartbeats(10) == []
    assert scene.reactor.getDelayedCalls() == []


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd reads."""
    receiving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiving.bind(str(tmp_path / "notify"))
    receiving.settimeout(5)
    yield receiving
    receiving.close()


def test_a_notification_is_one_assignment_per_line(manager: socket.socket) -> None:
    """sd_notify(3)."""
    notify = NotifySocket(manager.getsockname())
    notify.notify({"READY": "1", "STATUS": "größer"})
    assert manager.recv(4096) == "READY=1\nSTATUS=größer".encode()
    notify.close()


def test_a_models_name_cannot_add_an_assignment(manager: socket.socket) -> None:
    """A file may have any name."""
    notify = NotifySocket(manager.getsockname())
    notify.notify({"STATUS": "evil\nMAINPID=1\r\x7f is loaded"})
    assert manager.recv(4096) == b"STATUS=evil MAINPID=1   is loaded"
    notify.close()


def test_an_abstract_address_begins_with_an_at() -> None:
    """sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(b"\0rkllm-test-%d" % id(receiving))
        receiving.settimeout(5)
        notify = NotifySocket("@" + receiving.getsockname()[1:].decode())
        notify.notify({"READY": "1"})
        assert receiving.recv(4096) == b"READY=1"
        notify.close()


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """The daemon goes on without systemd."""
    notify = NotifySocket(str(tmp_path / "nobody"))
    notify.notify({"READY": "1"})
    notify.close()
