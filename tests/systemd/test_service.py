"""News for systemd: ready when ready, alive while it moves, never more than a line."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rkllm_twisted.systemd.notify import NotifySocket
from rkllm_twisted.systemd.service import ReportingService, summary_of
from rkllm_twisted.values import NPUStatus


class Reactor(Clock):
    """A clock that has not begun to run."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[object] = []

    def callWhenRunning(self, what: object) -> None:
        """Keep it until :meth:`begin`."""
        self.waiting.append(what)

    def begin(self) -> None:
        """Run, now."""
        for what in self.waiting:
            what()  # type: ignore[operator]


class Worker(Service):
    """A service with a state."""

    state, fresh = "idle", True

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def summary(self) -> str:
        """In a line."""
        return self.state

    def is_fresh(self) -> bool:
        """As the test has it."""
        return self.fresh

    def stopService(self) -> Deferred[None]:
        """When the test says so."""
        return self.stopped


class Scene:
    """A worker, the service around it, and what was told."""

    def __init__(self, watchdog: float | None = 8.0) -> None:
        self.reactor, self.worker = Reactor(), Worker()
        self.told: list[Mapping[str, str]] = []
        self.service = ReportingService(self.reactor, self.told.append, watchdog, self.worker)
        self.service.startService()

    def signs(self, seconds: float) -> list[float]:
        """When signs of life were given within the next seconds."""
        given = []
        for _ in range(round(seconds * 10)):
            before = self.told.count({"WATCHDOG": "1"})
            self.reactor.advance(0.1)
            if self.told.count({"WATCHDOG": "1"}) > before:
                given.append(round(self.reactor.seconds(), 1))
        return given


def test_ready_is_told_once_the_reactor_accepts() -> None:
    """And not when the service has merely been started."""
    scene = Scene(watchdog=None)
    assert scene.told == []
    scene.reactor.begin()
    assert scene.told == [{"READY": "1", "STATUS": "idle"}]


def test_a_service_that_was_stopped_before_is_never_ready() -> None:
    """A signal may come first."""
    scene = Scene()
    scene.service.stopService()
    scene.reactor.begin()
    assert not any("READY" in news for news in scene.told)


def test_the_state_is_told_when_it_changes() -> None:
    """And only then: each of them wakes systemd."""
    scene = Scene(watchdog=None)
    scene.reactor.begin()
    scene.reactor.pump([1] * 5)
    scene.worker.state = "busy"
    scene.reactor.pump([1] * 5)
    assert scene.told[1:] == [{"STATUS": "busy"}]


def test_signs_of_life_come_twice_in_the_watchdogs_time() -> None:
    """sd_watchdog_enabled(3) recommends it."""
    scene = Scene(watchdog=8.0)
    scene.reactor.begin()
    assert scene.told[-1] == {"WATCHDOG": "1"}
    assert scene.signs(17) == pytest.approx([4, 8, 12, 16], abs=0.15)


def test_without_a_watchdog_there_are_none() -> None:
    """Nobody asked."""
    scene = Scene(watchdog=None)
    scene.reactor.begin()
    assert scene.signs(100) == []


def test_what_stands_still_gives_no_sign_of_life() -> None:
    """Else a hung NPU would look healthy. A late sign comes as soon as there is one."""
    scene = Scene(watchdog=8.0)
    scene.reactor.begin()
    scene.worker.fresh = False
    assert scene.signs(10.5) == []
    scene.worker.fresh = True
    assert scene.signs(1) == pytest.approx([11], abs=0.15)


def test_signs_of_life_go_on_while_it_stops() -> None:
    """The run under way may end: that takes longer than some watchdogs wait."""
    scene = Scene(watchdog=8.0)
    scene.reactor.begin()
    stopped = scene.service.stopService()
    assert scene.told[-1]["STOPPING"] == "1"
    assert scene.signs(5) == pytest.approx([4], abs=0.15)
    scene.worker.stopped.callback(None)
    assert stopped.called
    assert scene.signs(10) == []
    assert scene.reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (NPUStatus("empty", None, 0, 0, 0), "no model is loaded; waiting calls: 0; clients: 2"),
        (
            NPUStatus("running", "/models/qwen.rkllm", 3, 0, 0),
            "qwen.rkllm is running; waiting calls: 3; clients: 2",
        ),
        (
            NPUStatus("failed", None, 0, 0, 0, "was killed by SIGSEGV"),
            "the runtime's process was killed by SIGSEGV; rkllm.init tries again;"
            " waiting calls: 0; clients: 2",
        ),
    ],
)
def test_the_state_names_model_and_queue(status: NPUStatus, line: str) -> None:
    """For `systemctl status`."""
    assert summary_of(status, 2) == line


@pytest.mark.parametrize(
    "state", ["empty", "loading", "loaded", "running", "stuck", "failed", "closed"]
)
def test_every_state_has_words(state: str) -> None:
    """Those that NPUStatus documents."""
    assert state in NPUStatus.__doc__  # type: ignore[operator]
    assert summary_of(NPUStatus(state, None, 0, 0, 0), 0)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The end that systemd reads."""
    receiving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiving.bind(str(tmp_path / "notify"))
    receiving.settimeout(5)
    yield receiving
    receiving.close()


def test_news_are_assignments(manager: socket.socket) -> None:
    """One a line."""
    notify = NotifySocket(manager.getsockname())
    notify.tell({"READY": "1", "STATUS": "größer"})
    assert manager.recv(4096) == "READY=1\nSTATUS=größer".encode()
    notify.close()


def test_a_models_name_cannot_say_more(manager: socket.socket) -> None:
    """A file may be called anything."""
    notify = NotifySocket(manager.getsockname())
    notify.tell({"STATUS": "evil\nMAINPID=1\r\x7f is loaded"})
    assert manager.recv(4096) == b"STATUS=evil MAINPID=1   is loaded"
    notify.close()


def test_an_abstract_address_begins_with_an_at() -> None:
    """sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(b"\0rkllm-test-%d" % id(receiving))
        receiving.settimeout(5)
        notify = NotifySocket("@" + receiving.getsockname()[1:].decode())
        notify.tell({"READY": "1"})
        assert receiving.recv(4096) == b"READY=1"
        notify.close()


def test_nobody_to_tell_is_no_error(tmp_path: Path) -> None:
    """The daemon's work goes on."""
    notify = NotifySocket(str(tmp_path / "nobody"))
    notify.tell({"READY": "1"})
    notify.close()
