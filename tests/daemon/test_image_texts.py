"""A model beside an encoder is loaded with the texts around an image, if its release wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_folders import catalogue, put

from rkllm_twisted.abi.release import release_for, releases
from rkllm_twisted.daemon.image_texts import takes_texts, with_image_texts
from rkllm_twisted.daemon.memory_domain import beside
from rkllm_twisted.testing import FakeVision, fake_encoder
from rkllm_twisted.vision_interfaces import EncoderLoad, ImageTags

QWEN = {
    "img_start": "<|vision_start|>",
    "img_content": "<|image_pad|>",
    "img_end": "<|vision_end|>",
}
TAGS = ImageTags("<s>", "</s>", "<c>")
OWN = {"img_start": "<s>", "img_content": "<c>", "img_end": "</s>"}


def asked(**how: Any) -> EncoderLoad:
    return EncoderLoad("/e.rknn", **how)


@pytest.mark.parametrize("name", releases())
def test_releases_before_1_3_0_take_them_with_rkllm_init(name: str) -> None:
    assert takes_texts(releases()[name]) is (name != "1.3.0")


@pytest.mark.parametrize(
    ("path", "how", "given"),
    [
        ("/models/qwen2-vl-2b.rkllm", {}, QWEN),
        ("/models/qwen2-vl-2b.rkllm", {"family": "gemma"}, {}),
        ("/models/qwen2-vl-2b.rkllm", {"tags": TAGS}, OWN),
        ("/models/mine.rkllm", {}, {}),
        ("/models/mine.rkllm", {"family": "qwen3"}, QWEN),
    ],
)
def test_a_path_shows_the_family(path: str, how: dict[str, Any], given: dict[str, str]) -> None:
    param = {"model_path": path}
    assert with_image_texts(param, asked(**how)) == {**param, **given}


def test_what_is_given_stays(tmp_path: Path) -> None:
    param = {"model_path": "/models/qwen2-vl.rkllm", "img_start": ""}
    assert with_image_texts(param, asked()) == param
    put(tmp_path, "qwen2-vl.gguf")
    put(tmp_path, "rkllm.toml", data="[param]\nimg_end = '<e>'\n")
    named = catalogue(tmp_path, release="1.2.1").find("qwen2-vl")
    assert with_image_texts({}, asked(), named) == {}


def test_the_files_of_a_model_with_a_name_say_them(tmp_path: Path) -> None:
    put(tmp_path, "mine.gguf")
    put(tmp_path, "rkllm.toml", data="family = 'qwen2'\n")
    assert with_image_texts({}, asked(), catalogue(tmp_path).find("mine")) == QWEN


@pytest.mark.parametrize(("release", "given"), [("1.2.1", QWEN), ("1.3.0", {})])
def test_they_come_with_the_encoder(release: str, given: dict[str, str]) -> None:
    vision, param = FakeVision(), {"model_path": "/models/qwen2-vl.rkllm"}
    adapt = beside(vision, release_for(release), "")
    assert adapt(param, None) == param
    vision.encoder = fake_encoder(asked())
    assert adapt(param, None) == {**param, **given}
