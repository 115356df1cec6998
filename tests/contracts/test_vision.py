"""The contract of every vision encoder of the daemon, over every provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from encoder_scripts import encoder_script
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from rkllm_twisted.encoders.vision import Vision
from rkllm_twisted.errors import InvalidParams, NoModel
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rknn.library import SCRIPTED
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.testing import FakeRuntime, FakeVision
from rkllm_twisted.testing.threads import ClockThread
from rkllm_twisted.vision_interfaces import EncoderLoad, IVision


def fake_vision() -> IVision:
    """Return the fake."""
    return FakeVision()


def scripted_vision() -> IVision:
    """Return the real one over the scripted library, in a process, without an NPU thread."""
    thread = ClockThread(reactor)
    npu = ThreadNPU(FakeRuntime(), thread.in_thread, thread.from_thread)
    return Vision(npu, Files(), SCRIPTED)


@pytest.fixture(params=[fake_vision, scripted_vision])
def vision(request: pytest.FixtureRequest) -> Iterator[IVision]:
    """Make the daemon's encoder; none is loaded."""
    made = request.param()
    yield made
    if isinstance(made, Vision):
        made.stopService()


@pytest.fixture
def asked(tmp_path: Path) -> EncoderLoad:
    """Return what loads an encoder."""
    return EncoderLoad(encoder_script(tmp_path, "outputs 2"))


def test_it_provides_the_interface(vision: IVision) -> None:
    """Every provider has the attributes and methods."""
    assert verifyObject(IVision, vision)


@pytest_twisted.ensureDeferred
async def test_without_an_encoder_nothing_is_encoded(vision: IVision) -> None:
    """The error says which method loads one."""
    assert vision.encoder is None
    assert vision.status()["state"] == "empty"
    with pytest.raises(NoModel, match=r"vision\.load"):
        await vision.encode(b"")
    with pytest.raises(NoModel):
        await vision.unload()


@pytest_twisted.ensureDeferred
async def test_the_rows_have_the_encoders_shape(vision: IVision, asked: EncoderLoad) -> None:
    """Of each token there is the row of each output, and equal pixels have equal rows."""
    encoder = await vision.load(asked)
    assert vision.encoder == encoder
    assert encoder.asked == asked
    dark, light = (bytes([level]) * (encoder.width * encoder.height * 3) for level in (10, 200))
    rows = await vision.encode(dark)
    assert rows.shape == (encoder.tokens, encoder.outputs * encoder.row_width)
    assert len(rows.data) == 4 * rows.shape[0] * rows.shape[1]
    assert await vision.encode(dark) == rows
    assert await vision.encode(light) != rows


@pytest_twisted.ensureDeferred
async def test_pixels_of_another_size_are_refused(vision: IVision, asked: EncoderLoad) -> None:
    """The error says how many bytes the encoder takes."""
    encoder = await vision.load(asked)
    with pytest.raises(InvalidParams, match=f"{encoder.width} x {encoder.height} x 3"):
        await vision.encode(b"\0" * 5)


@pytest_twisted.ensureDeferred
async def test_unloading_returns_what_was_loaded(vision: IVision, asked: EncoderLoad) -> None:
    """Afterwards there is none."""
    encoder = await vision.load(asked)
    assert await vision.unload() == encoder
    assert vision.encoder is None
    assert vision.status()["state"] == "empty"
