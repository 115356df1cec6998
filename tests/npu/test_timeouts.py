"""Late calls are answered, aborted, and finally killed; the tests control the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from rkllm_twisted.errors import RPCError, TimedOut
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.npu.timeouts import GIB, Timeouts
from rkllm_twisted.testing import Answer, FakeRuntime, StepThread


class Killable(FakeRuntime):
    """A runtime that can be killed, as one in a process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kills = 0

    def kill(self) -> bool:
        """Count the kills."""
        self.kills += 1
        return True


class Rig:
    """An NPU with a model, a clock, and the errors of its calls."""

    def __init__(self, runtime: FakeRuntime, timeouts: Timeouts) -> None:
        self.clock, self.thread, self.runtime = Clock(), StepThread(), runtime
        self.npu = ThreadNPU(runtime, self.thread.in_thread, self.thread.from_thread)
        self.npu.set_timeouts(self.clock, timeouts)
        self.errors: list[RPCError] = []
        self.npu.call("rkllm_init", [{"model_path": "m"}])
        self.thread.run()

    def run(self, prompt: str = "hi") -> None:
        """Queue a run."""
        done = self.npu.run("rkllm_run", [{"prompt_input": prompt}], lambda _: None)
        done.addErrback(lambda failure: self.errors.append(failure.value))


QUICK = Timeouts(init=30, first_token=10, token=2, abort=5)


def test_a_run_without_a_first_token_is_late() -> None:
    """The error names the option and its value."""
    rig = Rig(Killable(), QUICK)
    rig.run()
    rig.clock.advance(9.9)
    assert rig.errors == []
    rig.clock.advance(0.1)
    (error,) = rig.errors
    assert isinstance(error, TimedOut)
    assert "--first-token-timeout" in str(error)
    assert error.data == {"function": "rkllm_run", "seconds": 10}


def test_each_token_gives_the_next_one_its_time() -> None:
    """A slow but steady run is not late."""

    def pace() -> None:
        rig.clock.advance(0.6)

    rig = Rig(Killable({"hi": Answer(("x",) * 20)}, pace), QUICK)
    rig.npu = ThreadNPU(rig.runtime, rig.thread.in_thread, lambda call, *args: call(*args))
    rig.npu.set_timeouts(rig.clock, QUICK)
    rig.run()
    rig.thread.step()
    assert rig.errors == []
    assert rig.npu.status().tokens == 20


def test_what_is_not_back_after_the_abort_is_ended_by_force() -> None:
    """The runtime is killed five seconds after the caller's answer."""
    runtime = Killable()
    rig = Rig(runtime, QUICK)
    rig.run()
    rig.clock.advance(10)
    rig.clock.advance(4.9)
    assert runtime.kills == 0
    rig.clock.advance(0.1)
    assert runtime.kills == 1


def test_what_is_back_in_time_is_not_ended_by_force() -> None:
    """The abort alone ends the run."""
    runtime = Killable()
    rig = Rig(runtime, QUICK)
    rig.run()
    rig.clock.advance(10)
    rig.thread.run()
    rig.clock.advance(100)
    assert runtime.kills == 0
    assert rig.npu.status().state == "loaded"


def test_an_npu_that_cannot_be_ended_is_stuck_until_c_returns() -> None:
    """Waiting and new requests are refused until C returns; then the NPU works again."""
    rig = Rig(FakeRuntime(), QUICK)
    rig.run()
    rig.run("waiting")
    rig.clock.advance(10)
    rig.clock.advance(5)
    assert rig.npu.status().state == "stuck"
    rig.run("late")
    assert [type(error) for error in rig.errors] == [TimedOut] * 3
    rig.thread.run()
    assert rig.npu.status().state == "loaded"
    rig.run()
    rig.thread.run()
    assert len(rig.errors) == 3


def test_a_cancelled_run_is_ended_by_force_if_it_does_not_end() -> None:
    """The next client must not wait for ever."""
    runtime = Killable()
    rig = Rig(runtime, QUICK)
    done = rig.npu.run("rkllm_run", [{"prompt_input": "hi"}], lambda _: None)
    done.addErrback(lambda _: None)
    done.cancel()
    rig.clock.advance(5)
    assert runtime.kills == 1


def test_nothing_is_left_ticking_when_nothing_is_under_way() -> None:
    """No timer outlives its call."""
    rig = Rig(Killable(), QUICK)
    rig.run()
    rig.thread.run()
    assert rig.clock.getDelayedCalls() == []


@pytest.mark.parametrize(("gib", "seconds"), [(0, 30), (1, 75), (8, 390)])
def test_loading_may_take_as_long_as_the_model_is_big(
    tmp_path: Path, gib: int, seconds: float
) -> None:
    """The limit is 30 s plus 45 s for each GiB of the file."""
    model = tmp_path / "m"
    with model.open("wb") as file:
        file.truncate(gib * GIB)
    assert Timeouts().for_model(str(model)) == seconds


def test_the_option_says_it_for_every_model() -> None:
    """The model's file may be missing then."""
    assert Timeouts(init=5).for_model("/nowhere") == 5
    assert Timeouts().for_model(None) == 30


def test_a_timer_that_fires_late_starts_again() -> None:
    """After a pause of the daemon, the runtime's messages may be unread yet."""
    rig = Rig(Killable(), QUICK)
    rig.run()
    rig.clock.advance(100)
    assert rig.errors == []
    rig.clock.advance(10)
    assert isinstance(rig.errors[0], TimedOut)
