"""Full collections of Python's collector, whose settings are the process's."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from rkllm_twisted.daemon.collector import (
    FEW_CALLS,
    FULL_AFTER,
    INTERVAL_S,
    WORTH_FULL,
    FullCollections,
)
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing import FakeRuntime, StepThread

PROGRAM = """
import gc
from twisted.internet import reactor
from rkllm_twisted.{module} import Options, makeService
options = Options()
options.parseOptions(["--library=cpu", "--isolation=thread", "--socket=sock"])
before = gc.get_threshold()
service = makeService(options)
service.privilegedStartService()
service.startService()
reactor.callWhenRunning(reactor.stop)
reactor.run()
print(before == gc.get_threshold(), before[:2] == gc.get_threshold()[:2], gc.get_threshold()[2])
service.stopService()
"""


@pytest.mark.parametrize(
    ("module", "words"), [("daemon.twistd", f"False True {FULL_AFTER}"), ("tap", "True True 10")]
)
def test_full_collections_are_rare_where_the_process_is_ours(
    tmp_path: Path, module: str, words: str
) -> None:
    """An application that embeds the daemon keeps its own settings."""
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert words in done.stdout.splitlines()


class Scene:
    """The service, an NPU with a model, and the full collections."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.thread = StepThread()
        self.npu = ThreadNPU(
            FakeRuntime(), self.thread.in_thread, self.thread.from_thread, queue_limit=1000
        )
        self.npu.call("rkllm_init", [{"model_path": "m"}])
        self.thread.run()
        self.service = FullCollections(self.npu, self.clock)
        self.service.startService()
        self.full = 0

    def note(self, phase: str, info: Mapping[str, int]) -> None:
        self.full += phase == "start" and info["generation"] == 2

    def make_due(self) -> None:
        """Make as many small collections as are worth a full one."""
        for _ in range(WORTH_FULL):
            gc.collect(1)

    def pass_time(self) -> None:
        self.clock.advance(INTERVAL_S)

    def call(self, times: int) -> None:
        for client in range(times):
            self.npu.run("rkllm_run", [{"prompt_input": "x"}], lambda _: None, client)


@pytest.fixture
def scene() -> Iterator[Scene]:
    threshold = gc.get_threshold()
    gc.collect()
    scene = Scene()
    gc.callbacks.append(scene.note)
    yield scene
    gc.callbacks.remove(scene.note)
    gc.set_threshold(*threshold)
    scene.thread.run()


def test_a_full_collection_is_made_while_few_calls_wait(scene: Scene) -> None:
    scene.call(1 + FEW_CALLS)
    scene.make_due()
    assert scene.full == 0
    scene.pass_time()
    assert scene.full == 1


def test_a_full_collection_is_put_off_while_many_calls_wait(scene: Scene) -> None:
    scene.call(2 + FEW_CALLS)
    scene.make_due()
    scene.pass_time()
    assert scene.full == 0
    scene.thread.run()
    scene.pass_time()
    assert scene.full == 1


def test_none_is_made_before_it_is_worth_its_time(scene: Scene) -> None:
    scene.pass_time()
    scene.make_due()
    scene.pass_time()
    scene.pass_time()
    assert scene.full == 1


def test_none_is_made_after_the_stop(scene: Scene) -> None:
    scene.make_due()
    scene.service.stopService()
    assert not scene.clock.getDelayedCalls()
