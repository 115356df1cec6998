"""Which models a vision encoder belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf_bytes
from model_folders import catalogue, put

from rkllm_twisted.chat.families import named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.models.encoder_fit import (
    family_of_encoder,
    fits,
    marks_with,
    reason_against_family,
    reason_against_outputs,
    reason_against_width,
)
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


@pytest.mark.parametrize(
    ("file", "family"),
    [
        ("qwen2_5-vl-3b_vision_rk3588.rknn", "qwen2"),
        ("qwen3-vl_vision_rk3588.rknn", "qwen3"),
        ("qwen3.5_vision_rk3588.rknn", "qwen3"),
        ("internvl3-1b_vision_rk3588.rknn", "internvl3"),
        ("minicpm-v-2_6_vision_rk3576.rknn", "minicpm-v"),
        ("smolvlm_vision_rk3588.rknn", "smolvlm"),
        ("deepseekocr_vision_rk3588.rknn", "deepseek-ocr"),
        ("gemma-3-4b_vision.rknn", "gemma"),
        ("smollm2.rknn", None),
        ("vision_transformer.rknn", None),
    ],
)
def test_a_file_of_rockchips_export_says_the_family_of_its_encoder(
    file: str, family: str | None
) -> None:
    """The script names it after the model. A family that reads no images is none."""
    found = family_of_encoder(EncoderLoad(f"/models/{file}"))
    assert (found and found.name) == family
    if found is not None:
        assert marks_with(EncoderLoad(f"/models/{file}"), None) == found.image


@pytest.mark.parametrize(
    ("file", "asked", "model", "said"),
    [
        ("qwen3-vl_vision.rknn", None, "qwen2", "named after the family qwen3"),
        ("qwen3-vl_vision.rknn", "qwen2", "qwen2", None),
        ("e.rknn", "qwen2", "qwen3", "loaded for the family qwen2"),
        ("e.rknn", "qwen2", "chatml", "loaded for the family qwen2"),
        ("qwen3-vl_vision.rknn", None, "chatml", None),
        ("qwen3-vl_vision.rknn", None, None, None),
        ("e.rknn", None, "qwen3", None),
    ],
)
def test_an_encoder_of_another_family_shows_by_its_files_name(
    file: str, asked: str | None, model: str | None, said: str | None
) -> None:
    """Unless the client has named the family; a family without images proves nothing."""
    reason = reason_against_family(EncoderLoad(f"/models/{file}", family=asked), model)
    assert reason is None if said is None else said in str(reason)


@pytest.mark.parametrize(
    ("outputs", "family", "does"),
    [(1, "qwen3", True), (4, "qwen3", True), (3, "qwen3", False), (4, "qwen2", False)],
)
def test_its_outputs_are_those_of_the_family(outputs: int, family: str, does: bool) -> None:
    assert (reason_against_outputs(outputs, named(family, FAMILIES)) is None) is does
    assert reason_against_outputs(outputs, None) is None


@pytest.mark.parametrize(("width", "does"), [(8, True), (0, True), (4, False), (16, False)])
def test_a_row_is_exactly_as_wide_as_the_models_embeddings(width: int, does: bool) -> None:
    """A multiple is another model's."""
    assert (reason_against_width(fake_encoder(row_width=8), width) is None) is does
