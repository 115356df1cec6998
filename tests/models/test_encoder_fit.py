"""Which models a vision encoder belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf_bytes
from model_folders import catalogue, put

from rkllm_twisted.models.encoder_fit import fits
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.summary import summary
from rkllm_twisted.testing import fake_encoder
from rkllm_twisted.vision_interfaces import EncoderLoad, ImageTags

TAGS = ImageTags("<s>", "</s>", "<c>")


def model(root: Path, name: str, width: int | None = None) -> NamedModel:
    keys: dict[str, Any] = {"general.architecture": "llama"}
    if width is not None:
        keys["llama.embedding_length"] = width
    put(root, f"{name}.gguf", data=gguf_bytes(keys))
    return catalogue(root).find(name)


@pytest.mark.parametrize(
    ("name", "asked", "does"),
    [
        ("qwen2-vl", {}, True),
        ("qwen2-vl", {"family": "qwen2"}, True),
        ("qwen2-vl", {"family": "qwen3"}, False),
        ("qwen2-vl", {"family": "qwen3", "tags": TAGS}, False),
        ("mine", {}, False),
        ("mine", {"family": "chatml"}, False),
        ("mine", {"family": "qwen3"}, True),
        ("mine", {"tags": TAGS}, True),
    ],
)
def test_the_texts_around_an_image_must_be_known_and_of_one_family(
    tmp_path: Path, name: str, asked: dict[str, Any], does: bool
) -> None:
    encoder = fake_encoder(EncoderLoad("/e.rknn", **asked))
    assert fits(encoder, model(tmp_path, name)) is does


@pytest.mark.parametrize(("width", "does"), [(8, True), (16, False), (None, True)])
def test_its_rows_have_the_width_of_the_model(
    tmp_path: Path, width: int | None, does: bool
) -> None:
    encoder = fake_encoder(EncoderLoad("/e.rknn"), row_width=8)
    assert fits(encoder, model(tmp_path, "qwen2-vl", width)) is does


def test_a_model_for_embeddings_reads_no_images(tmp_path: Path) -> None:
    put(tmp_path, "rkllm.toml", data='kind = "embedding"')
    assert not fits(fake_encoder(EncoderLoad("/e.rknn")), model(tmp_path, "qwen2-vl"))


def test_only_the_loaded_model_shows_what_the_loaded_encoder_gives_it(tmp_path: Path) -> None:
    found, encoder = model(tmp_path, "qwen2-vl"), fake_encoder(EncoderLoad("/e.rknn"))
    shown = [
        summary(found, None, is_loaded, with_)["capabilities"]
        for is_loaded, with_ in ((True, encoder), (False, encoder), (True, None))
    ]
    assert shown == [["completion", "vision"], ["completion"], ["completion"]]
