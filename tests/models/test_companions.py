"""The purpose of each file beside a model."""

from __future__ import annotations

import pytest

from rkllm_twisted.models.companions import companions_of, role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("rkllm.toml", "settings"),
        ("qwen.rkllm.toml", "settings"),
        ("tokenizer.json", "tokenizer"),
        ("qwen.tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer_config"),
        ("chat_template.jinja", "template"),
        ("generation_config.json", "generation_config"),
        ("vision_rk3588.rknn", "encoder"),
        ("Qwen-LoRA.rkllm", "lora"),
        ("lora.gguf", "lora"),
        ("prompt_cache.bin", "prompt_cache"),
        ("hello.prompt_cache", "prompt_cache"),
        ("qwen.rkllm", None),
        ("qwen.gguf", None),
        ("mytokenizer.json", None),
        ("README.md", None),
    ],
)
def test_the_name_says_what_a_file_is_for(name: str, role: str | None) -> None:
    assert role_of(name) == role


def roles(*names: str) -> dict[str, str]:
    return {name: role for name in names if (role := role_of(name))}


def test_a_model_that_shares_has_the_files_without_a_models_name() -> None:
    found = companions_of("qwen", roles("tokenizer.json", "a.rknn", "b.rknn"), ["qwen"], True)
    assert found == {"tokenizer": ("tokenizer.json",), "encoder": ("a.rknn", "b.rknn")}


def test_a_model_that_does_not_share_has_those_with_its_name_only() -> None:
    names = roles("tokenizer.json", "qwen.tokenizer.json", "qwen_lora.rkllm", "x_lora.rkllm")
    assert companions_of("qwen", names, ["qwen"], False) == {
        "tokenizer": ("qwen.tokenizer.json",),
        "lora": ("qwen_lora.rkllm",),
    }


def test_a_file_with_the_models_name_goes_before_one_without() -> None:
    names = roles("rkllm.toml", "qwen.rkllm.toml")
    assert companions_of("qwen", names, ["qwen"], True) == {"settings": ("qwen.rkllm.toml",)}


def test_a_file_belongs_to_the_model_with_the_longest_name_that_fits() -> None:
    names = roles("qwen-big.tokenizer.json", "qwen.tokenizer.json")
    stems = ["qwen", "qwen-big"]
    assert companions_of("qwen", names, stems, True)["tokenizer"] == ("qwen.tokenizer.json",)
    big = companions_of("qwen-big", names, stems, True)
    assert big["tokenizer"] == ("qwen-big.tokenizer.json",)
