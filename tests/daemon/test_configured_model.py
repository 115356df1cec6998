"""``--model`` loads a model at the start and after a crash, but not after anything else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from rkllm_twisted.daemon.configured_model import (
    CHECK_INTERVAL_S,
    MAX_BACK_OFF_S,
    STANDS_S,
    ConfiguredModel,
)
from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.values import NPUStatus


class Scene:
    """The service, with an NPU that only records loads and reports states."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loads: list[float] = []
        self.answer: Callable[[], Deferred[object]] = lambda: succeed({})
        self.state, self.problem = "loaded", None
        self.service = ConfiguredModel(self.clock, self, "/m.rkllm", self.load)  # type: ignore[arg-type]

    def load(self) -> Deferred[object]:
        """Record a load."""
        self.loads.append(self.clock.seconds())
        return self.answer()

    def status(self, most_waiting: int = 0) -> NPUStatus:
        """Return the state that the test has set."""
        return NPUStatus(self.state, None, 0, 0, 0, self.problem)

    def crash(self) -> None:
        """Lose the model as in a crash."""
        self.state, self.problem = "empty", "was killed by SIGSEGV"

    def pass_time(self, seconds: float) -> None:
        """Advance the clock in small steps."""
        self.clock.pump([CHECK_INTERVAL_S / 2] * round(2 * seconds / CHECK_INTERVAL_S))


@pytest.fixture
def scene() -> Scene:
    """Start a service."""
    made = Scene()
    made.service.startService()
    return made


def test_the_model_is_loaded_at_once(scene: Scene) -> None:
    """The service loads it once while it stays loaded."""
    scene.pass_time(1000)
    assert scene.loads == [0]


def test_a_crash_loads_it_again(scene: Scene) -> None:
    """The load starts after a second or two."""
    scene.pass_time(100)
    scene.crash()
    scene.pass_time(3)
    assert len(scene.loads) == 2


def test_a_client_that_destroys_it_is_obeyed(scene: Scene) -> None:
    """The service reloads a model only after a crash."""
    scene.state = "empty"
    scene.pass_time(1000)
    assert scene.loads == [0]


def test_a_model_that_crashes_again_and_again_is_loaded_less_and_less_often(scene: Scene) -> None:
    """The delay doubles up to five minutes."""
    scene.crash()
    scene.pass_time(2000)
    delays = [later - earlier for earlier, later in zip(scene.loads, scene.loads[1:], strict=False)]
    assert len(scene.loads) < 20
    assert delays[0] < 3
    assert delays == sorted(delays)
    assert MAX_BACK_OFF_S <= delays[-1] < MAX_BACK_OFF_S + 3


def test_a_model_that_stood_for_a_while_is_loaded_soon_again(scene: Scene) -> None:
    """After a minute, the delay is short again."""
    scene.crash()
    scene.pass_time(100)
    scene.state, scene.problem = "loaded", None
    scene.pass_time(MAX_BACK_OFF_S + 2 * STANDS_S)
    scene.crash()
    before = len(scene.loads)
    scene.pass_time(3)
    assert len(scene.loads) == before + 1


def test_a_load_that_fails_is_tried_again_and_logged() -> None:
    """The file may appear later, for example when a disk is mounted."""
    events: list[str] = []

    def observe(event: dict[str, object]) -> None:
        if event.get("log_namespace") == "rkllm.daemon":
            events.append(str(event.get("error", "")))

    scene = Scene()
    scene.state = "empty"
    scene.answer = lambda: fail(RuntimeRefused("It is no model.", {}))
    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    try:
        scene.service.startService()
        scene.pass_time(10)
    finally:
        globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    assert 3 <= len(scene.loads) <= 5
    assert "It is no model." in events


def test_a_model_that_a_client_has_loaded_meanwhile_stays(scene: Scene) -> None:
    """The second attempt finds the model and does nothing."""
    scene.answer = lambda: fail(RPCError("no"))
    scene.crash()
    scene.pass_time(1)
    loads = len(scene.loads)
    scene.state, scene.problem = "loaded", None
    scene.pass_time(600)
    assert len(scene.loads) == loads


def test_a_service_that_stops_loads_no_more(scene: Scene) -> None:
    """No timer remains."""
    scene.crash()
    scene.pass_time(1)
    scene.service.stopService()
    assert scene.clock.getDelayedCalls() == []
