"""``--keep-alive`` unloads a model that no client uses."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from rkllm_twisted.daemon.keep_alive import KeepAlive
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing import FakeRuntime, StepThread


class Scene:
    """The service, and an NPU with a loaded model."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.thread = StepThread()
        self.runtime = FakeRuntime()
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread)
        self.load()
        self.service = KeepAlive(self.clock, self.npu, 60)
        self.service.startService()

    def load(self) -> None:
        self.npu.call("rkllm_init", [{"model_path": "m"}])
        self.thread.run()

    def begin_run(self) -> None:
        self.npu.run("rkllm_run", [{"prompt_input": "hi"}], lambda _: None)

    def pass_time(self, seconds: int) -> None:
        """Advance the clock, and run what waits for the NPU thread."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.thread.run()

    @property
    def is_loaded(self) -> bool:
        return self.npu.status().state == "loaded"


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_model_that_is_idle_is_unloaded(scene: Scene) -> None:
    scene.pass_time(59)
    assert scene.is_loaded
    scene.pass_time(2)
    assert not scene.is_loaded


def test_each_run_counts_from_its_end(scene: Scene) -> None:
    scene.pass_time(50)
    scene.begin_run()
    scene.pass_time(50)
    assert scene.is_loaded
    scene.pass_time(12)
    assert not scene.is_loaded


def test_a_run_under_way_keeps_the_model_however_long_it_takes(scene: Scene) -> None:
    scene.begin_run()
    scene.clock.pump([1] * 100)
    assert scene.npu.status().state == "running"
    scene.thread.run()
    assert scene.is_loaded


def test_a_model_that_is_loaded_later_has_its_own_time(scene: Scene) -> None:
    scene.pass_time(61)
    scene.load()
    scene.pass_time(59)
    assert scene.is_loaded
    scene.pass_time(2)
    assert not scene.is_loaded


def test_without_a_model_there_is_nothing_to_do(scene: Scene) -> None:
    scene.pass_time(200)
    assert scene.runtime.performed.count("rkllm_destroy") == 1


def test_a_service_that_has_stopped_unloads_nothing(scene: Scene) -> None:
    scene.service.stopService()
    scene.pass_time(200)
    assert scene.is_loaded
    assert scene.clock.getDelayedCalls() == []
