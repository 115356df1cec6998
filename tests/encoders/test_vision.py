"""The daemon's vision encoder: its process, its faults, its turns."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from encoder_scripts import encoder_script
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from rkllm_twisted.encoders import process as process_module
from rkllm_twisted.encoders.messages import OpenEncoder
from rkllm_twisted.encoders.process import EncoderProcess
from rkllm_twisted.encoders.vision import Vision
from rkllm_twisted.errors import (
    InvalidParams,
    NoModel,
    NotAllowed,
    RuntimeCrashed,
    RuntimeRefused,
    TimedOut,
)
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rknn.library import SCRIPTED
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.testing import FakeRuntime, StepThread
from rkllm_twisted.vision_interfaces import EncoderLoad

PIXELS = bytes(96)


@attrs.define
class Rig:
    """An NPU thread that the test steps, and the vision encoder at its queue."""

    thread: StepThread
    runtime: FakeRuntime
    npu: ThreadNPU
    vision: Vision

    def result(self, work: Deferred[Any]) -> Any:
        """Do what waits, and return or raise the outcome."""
        self.thread.run()
        outcomes: list[Any] = []
        work.addBoth(outcomes.append)
        (outcome,) = outcomes
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return outcome


Make = Callable[..., Rig]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make rigs, whose processes end with the test."""
    made: list[Rig] = []

    def make_one(files: Files | None = None, open_encoder: Callable[..., Any] | None = None) -> Rig:
        thread, runtime = StepThread(), FakeRuntime()
        npu = ThreadNPU(runtime, thread.in_thread, thread.from_thread)
        rig = Rig(thread, runtime, npu, Vision(npu, files or Files(), SCRIPTED, open_encoder))
        made.append(rig)
        return rig

    yield make_one
    for rig in made:
        with contextlib.suppress(NoModel):
            rig.result(rig.vision.unload())


def test_nothing_is_loaded_before_its_turn(make: Make, tmp_path: Path) -> None:
    """Loading is a job in the queue of the NPU, after the run under way."""
    rig = make()
    rig.result(rig.npu.call("rkllm_init", [{"model_path": "x"}]))
    run = rig.npu.run("rkllm_run", [{"prompt_input": "hello"}, {}], lambda _: None)
    load = rig.vision.load(EncoderLoad(encoder_script(tmp_path)))
    assert rig.vision.encoder is None
    assert rig.npu.status().queue_length == 1
    assert rig.result(load).tokens == 4
    rig.result(run)


def test_encoding_is_a_turn_of_the_npu(make: Make, tmp_path: Path) -> None:
    """A picture waits for the run under way, and the next run for the picture."""
    rig = make()
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path))))
    rig.result(rig.npu.call("rkllm_init", [{"model_path": "x"}]))
    events: list[str] = []
    works = [
        rig.npu.run("rkllm_run", [{"prompt_input": "a"}, {}], lambda _: None),
        rig.vision.encode(PIXELS),
        rig.npu.run("rkllm_run", [{"prompt_input": "b"}, {}], lambda _: None),
    ]
    for name, work in zip(("run a", "picture", "run b"), works, strict=True):
        work.addCallback(lambda _, name: events.append(name), name)
    while len(rig.thread):
        assert len(rig.thread) == 1
        rig.thread.step()
    assert events == ["run a", "picture", "run b"]


def test_a_second_load_takes_the_place_of_the_first(make: Make, tmp_path: Path) -> None:
    """One encoder is loaded at a time."""
    rig = make()
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path))))
    second = encoder_script(tmp_path, "outputs 3", name="b.rknn")
    assert rig.result(rig.vision.load(EncoderLoad(second))).outputs == 3
    assert rig.result(rig.vision.encode(PIXELS)).shape == (4, 18)


def test_a_file_that_cannot_be_opened_leaves_the_encoder_loaded(make: Make, tmp_path: Path) -> None:
    """What opens it is looked for before anything is unloaded."""
    rig = make()
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path))))
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF\3\0\0\0")
    with pytest.raises(InvalidParams, match=r"model\.gguf is no vision encoder .* \(rknn\): it b"):
        rig.result(rig.vision.load(EncoderLoad(str(model))))
    with pytest.raises(InvalidParams, match="No such file"):
        rig.result(rig.vision.load(EncoderLoad(str(tmp_path / "nothing"))))
    assert rig.vision.status()["state"] == "loaded"


def test_the_path_obeys_model_dir(make: Make, tmp_path: Path) -> None:
    """A file elsewhere is not opened; one in a directory is opened once."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    rig = make(Files([str(inside)]))
    with pytest.raises(NotAllowed, match="--model-dir"):
        rig.result(rig.vision.load(EncoderLoad(encoder_script(outside))))
    encoder = rig.result(rig.vision.load(EncoderLoad(encoder_script(inside))))
    assert encoder.asked.path == str(inside / "encoder.rknn")
    assert rig.result(rig.vision.encode(PIXELS)).shape == (4, 6)


def test_a_picture_must_fit_into_the_context(make: Make, tmp_path: Path) -> None:
    """With a model that is loaded already, this shows before any picture."""
    rig = make()
    param = {"model_path": "x", "max_context_len": 128}
    rig.result(rig.npu.call("rkllm_init", [param]))
    with pytest.raises(InvalidParams, match="a picture takes 196 tokens .* a context of 128"):
        rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path, "tokens 196"))))
    assert rig.vision.status()["state"] == "empty"


def test_a_crash_costs_the_picture_and_is_named(make: Make, tmp_path: Path) -> None:
    """The next load starts another process."""
    rig = make()
    asked = EncoderLoad(encoder_script(tmp_path, "run segv"))
    rig.result(rig.vision.load(asked))
    with pytest.raises(RuntimeCrashed, match=r"process was killed by SIGSEGV.*vision\.load"):
        rig.result(rig.vision.encode(PIXELS))
    assert rig.vision.status()["state"] == "empty"
    assert "SIGSEGV" in str(rig.vision.status()["problem"])
    with pytest.raises(NoModel, match="SIGSEGV"):
        rig.result(rig.vision.encode(PIXELS))
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path))))
    assert rig.vision.status()["problem"] is None


def test_a_crash_while_loading_is_named(make: Make, tmp_path: Path) -> None:
    """With the last line that the library printed."""
    rig = make()
    with pytest.raises(RuntimeCrashed, match="exited with code 3"):
        rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path, "init exit"))))
    with pytest.raises(RuntimeRefused, match="rknn_init returned -6"):
        rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path, "init -6"))))


def test_a_hang_is_ended(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that a picture may take."""
    rig = make()
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path, "run hang"))))
    monkeypatch.setattr(process_module, "ENCODE_TIMEOUT_S", 0.2)
    with pytest.raises(TimedOut, match=r"did not answer within 0\.2 s"):
        rig.result(rig.vision.encode(PIXELS))
    assert rig.vision.encoder is None


@attrs.define
class Leaving:
    """Opens encoders whose client leaves as soon as the process has begun on what it asked for."""

    leave: Callable[[], object] = bool

    def __call__(self, *args: Any, check: Callable[[], object]) -> EncoderProcess:
        """Open one."""
        process = EncoderProcess(*args, check=partial(self._checked, check))
        encode = process.encode
        process.encode = lambda pixels, check: encode(  # type: ignore[method-assign]
            pixels, partial(self._checked, check)
        )
        return process

    def _checked(self, check: Callable[[], object]) -> None:
        self.leave()
        check()

    def lose(self, work: Deferred[Any]) -> Deferred[Any]:
        """Cancel a call while it is under way."""
        self.leave = work.cancel
        return work.addErrback(lambda failure: failure.trap(CancelledError))


def test_a_hang_is_ended_once_its_client_has_left(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue goes on, and the next picture opens the encoder again."""
    monkeypatch.setattr(process_module, "CANCEL_GRACE_S", 0.05)
    leaving = Leaving()
    rig = make(open_encoder=leaving)
    path = encoder_script(tmp_path, "run hang")
    rig.result(rig.vision.load(EncoderLoad(path)))
    rig.result(leaving.lose(rig.vision.encode(PIXELS)))
    assert rig.vision.status()["state"] == "standby"
    leaving.leave = bool
    monkeypatch.setattr(process_module, "ENCODE_TIMEOUT_S", 0.1)
    with pytest.raises(TimedOut):  # a process that has begun anew hangs anew
        rig.result(rig.vision.encode(PIXELS))


def test_a_picture_that_is_ready_soon_keeps_the_encoder(make: Make, tmp_path: Path) -> None:
    """Loading it again would take longer."""
    leaving = Leaving()
    rig = make(open_encoder=leaving)
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path, "delay 150"))))
    rig.result(leaving.lose(rig.vision.encode(PIXELS)))
    assert rig.vision.status()["state"] == "loaded"
    assert rig.vision.status()["encoded"] == 1


def test_a_load_that_hangs_is_ended_once_its_client_has_left(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is loaded then."""
    monkeypatch.setattr(process_module, "CANCEL_GRACE_S", 0.05)
    leaving = Leaving()
    rig = make(open_encoder=leaving)
    asked = EncoderLoad(encoder_script(tmp_path, "init hang"))
    rig.result(leaving.lose(rig.vision.load(asked)))
    assert rig.vision.status()["state"] == "empty"


def test_a_file_that_has_changed_is_not_opened_again(make: Make, tmp_path: Path) -> None:
    """What is known of it may be wrong by then."""
    rig = make()
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path), keep_loaded=False)))
    encoder_script(tmp_path, "outputs 3")
    with pytest.raises(InvalidParams, match=r"has changed .* vision\.load"):
        rig.result(rig.vision.encode(PIXELS))


def test_a_refusal_costs_the_picture_only(make: Make, tmp_path: Path) -> None:
    """The encoder stays loaded."""
    rig = make()
    rig.result(rig.vision.load(EncoderLoad(encoder_script(tmp_path, "output inf"))))
    with pytest.raises(RuntimeRefused, match="not finite"):
        rig.result(rig.vision.encode(PIXELS))
    assert rig.vision.status()["state"] == "loaded"


def test_an_encoder_may_be_loaded_for_each_picture(make: Make, tmp_path: Path) -> None:
    """Its memory is free in between."""
    rig = make()
    asked = EncoderLoad(encoder_script(tmp_path), keep_loaded=False)
    rig.result(rig.vision.load(asked))
    assert rig.vision.status()["state"] == "standby"
    assert rig.result(rig.vision.encode(PIXELS)).shape == (4, 6)
    assert rig.vision.status()["state"] == "standby"
    assert rig.vision.status()["encoded"] == 1


def test_a_cancelled_load_does_not_begin(make: Make, tmp_path: Path) -> None:
    """The client has left while it waited."""
    rig = make()
    load = rig.vision.load(EncoderLoad(encoder_script(tmp_path)))
    load.addErrback(lambda failure: None)
    load.cancel()
    rig.thread.run()
    assert rig.vision.status()["state"] == "empty"


def test_what_the_library_prints_is_a_line_of_the_log(tmp_path: Path) -> None:
    """Also what it prints to stdout, which carries no messages."""
    lines: list[str] = []
    path = encoder_script(tmp_path)
    encoder = EncoderProcess(OpenEncoder("rknn", path, "auto", SCRIPTED), take_line=lines.append)
    encoder.close()
    broken = encoder_script(tmp_path, "nonsense", name="b.rknn")
    with pytest.raises(RuntimeRefused):
        EncoderProcess(OpenEncoder("rknn", broken, "auto", SCRIPTED), take_line=lines.append)
    assert lines == ["E RKNN: line 6 of the script is wrong"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_does_not_end_its_process(
    tmp_path: Path, how: signal.Signals
) -> None:
    """The daemon gets it, too, and ends the process."""
    encoder = EncoderProcess(OpenEncoder("rknn", encoder_script(tmp_path), "auto", SCRIPTED))
    started = [p for task in Path("/proc/self/task").iterdir() for p in children_of(task)]
    [process] = [
        p for p in started if b"encoders.worker" in Path(f"/proc/{p}/cmdline").read_bytes()
    ]
    os.kill(process, how)
    assert encoder.encode(PIXELS).shape == (4, 6)
    encoder.close()


def children_of(task: Path) -> list[int]:
    """Return the processes that a thread has started."""
    try:
        return [int(process) for process in (task / "children").read_text().split()]
    except OSError:  # the thread has ended
        return []
