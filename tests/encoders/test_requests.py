"""The methods ``vision.*``: parameters, pictures, answers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted

from rkllm_twisted.encoders.requests import VisionRequests
from rkllm_twisted.errors import NO_ENCODER, InvalidParams, NoModel, NotAllowed
from rkllm_twisted.methods.vision_load import Params
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.testing import FakeVision, fake_encoder
from rkllm_twisted.vision.decode import PictureError
from rkllm_twisted.vision.pixels import Fit, Preparation, Resample
from rkllm_twisted.vision_interfaces import EncoderLoad, ImageTags


@attrs.define
class Pictures:
    """Makes pixels without decoding; records what it was asked for."""

    asked: list[tuple[bytes, Preparation]] = attrs.field(factory=list)

    def pixels_of(self, data: bytes, how: Preparation) -> bytes:
        """Return grey pixels."""
        self.asked.append((data, how))
        if data == b"broken":
            raise PictureError("is no picture")
        return bytes(how.width * how.height * 3)


def requests(
    pictures: Pictures, files: Files | None = None, **load: Any
) -> tuple[VisionRequests, FakeVision]:
    """Make requests to an encoder that is loaded."""
    vision = FakeVision(fake_encoder(EncoderLoad("/e.rknn", **load)))
    return VisionRequests(vision, files or Files(), pictures.pixels_of), vision


def encoded(data: bytes) -> dict[str, str]:
    """Return an image as clients send it."""
    return {"base64": base64.b64encode(data).decode()}


@pytest_twisted.ensureDeferred
async def test_the_answer_is_the_multimodal_input() -> None:
    """Its fields have the names of the structure's."""
    answering, vision = requests(Pictures())
    answer = await answering.encode(encoded(b"picture"))
    assert answer["image_embed"] == await vision.encode(bytes(28 * 28 * 3))
    assert {name: value for name, value in answer.items() if name != "image_embed"} == {
        "n_image_tokens": 4,
        "n_image": 1,
        "image_width": 28,
        "image_height": 28,
        "row_width": 8,
        "outputs": 1,
    }


@pytest.mark.parametrize(
    ("load", "how"),
    [
        ({}, Preparation(28, 28)),
        ({"family": "gemma"}, Preparation(28, 28, Fit.STRETCH)),
        ({"family": "gemma", "fit": "pad"}, Preparation(28, 28)),
        ({"resample": "smooth"}, Preparation(28, 28, Fit.PAD, Resample.SMOOTH)),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_family_says_how_a_picture_is_fitted(
    load: dict[str, Any], how: Preparation
) -> None:
    """Unless vision.load says it."""
    pictures = Pictures()
    answering, _ = requests(pictures, **load)
    await answering.encode(encoded(b"picture"))
    assert pictures.asked == [(b"picture", how)]


@pytest_twisted.ensureDeferred
async def test_a_path_obeys_model_dir(tmp_path: Path) -> None:
    """A picture elsewhere is not read."""
    inside = tmp_path / "in"
    inside.mkdir()
    for directory in (inside, tmp_path):
        (directory / "a.png").write_bytes(b"picture")
    pictures = Pictures()
    answering, _ = requests(pictures, Files([str(inside)]))
    await answering.encode({"path": str(inside / "a.png")})
    assert pictures.asked[0][0] == b"picture"
    with pytest.raises(NotAllowed, match=r"image\.path"):
        await answering.encode({"path": str(tmp_path / "a.png")})


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"url": "http://example/"}, "either base64 or path"),
        ({"base64": "AA==", "path": "/x"}, "either base64 or path"),
        ("AA==", "either base64 or path"),
        ({"base64": "!"}, "image.base64: is not base64"),
        ({"base64": "é"}, "image.base64: is not base64"),
        (encoded(b"broken"), "image: is no picture"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_wrong_image_is_named(image: object, said: str) -> None:
    """No URL is fetched."""
    answering, _ = requests(Pictures())
    with pytest.raises(InvalidParams, match=said):
        await answering.encode(image)


@pytest_twisted.ensureDeferred
async def test_a_picture_is_not_decoded_without_an_encoder() -> None:
    """Its size is not known."""
    pictures = Pictures()
    answering = VisionRequests(FakeVision(), Files(), pictures.pixels_of)
    with pytest.raises(NoModel, match=r"vision\.load"):
        await answering.encode(encoded(b"picture"))
    assert not pictures.asked


@pytest_twisted.ensureDeferred
async def test_after_a_crash_the_reason_is_said() -> None:
    """As a request for an answer says it."""
    vision = FakeVision()
    vision.problem = (
        "The vision encoder's process was killed by SIGSEGV; load it again with vision.load."
    )
    answering = VisionRequests(vision, Files(), Pictures().pixels_of)
    with pytest.raises(
        NoModel, match=r"No vision encoder is loaded \(.* SIGSEGV\); load one w"
    ) as it:
        await answering.encode(encoded(b"picture"))
    assert it.value.data == {"reason": NO_ENCODER, "problem": vision.problem}


@pytest_twisted.ensureDeferred
async def test_loading_says_what_the_file_says() -> None:
    """And how it was asked for."""
    answering, vision = requests(Pictures())
    tags = {"start": "<s>", "end": "</s>", "content": "<c>"}
    answer = await answering.load(Params("/b.rknn", tags=tags, keep_loaded=False))
    assert answer["path"] == "/b.rknn"
    assert answer["tags"] == tags
    assert answer["tokens"] == 4
    asked = EncoderLoad("/b.rknn", tags=ImageTags("<s>", "</s>", "<c>"), keep_loaded=False)
    assert vision.encoder is not None
    assert vision.encoder.asked == asked
    assert await answering.unload() == {"path": "/b.rknn"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cores": "9"}, "cores: must be one of auto, 0"),
        ({"fit": "crop"}, "fit: must be one of pad, stretch"),
        ({"resample": "best"}, "resample: must be one of vendor, smooth"),
        ({"family": "eagle"}, "family: 'eagle' is none of chatml, qwen2"),
        ({"tags": {"start": "<s>"}}, "tags: must be an object with the texts start, end"),
    ],
)
def test_a_wrong_parameter_of_a_load_is_named(wrong: dict[str, Any], said: str) -> None:
    """Before anything is unloaded."""
    answering, _ = requests(Pictures())
    with pytest.raises(InvalidParams, match=said):
        answering.load(Params("/b.rknn", **wrong))
