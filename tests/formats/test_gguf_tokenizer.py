"""The tokenizer in a GGUF file, as a tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf_bytes
from vocabularies import tokenizer

from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.formats.gguf_tokenizer import GGUFTokenizer, read_tokenizer

G = "tokenizer.ggml."
TEXTS = ("You are a helpful assistant.", "  Grüße, 你好 123!\n\n\tx", "a<|im_end|>b", "")


def read(data: bytes) -> GGUFTokenizer | None:
    return read_tokenizer(lambda at, length: data[at : at + length], len(data))


def byte_level() -> tuple[bytes, dict[str, Any]]:
    """A file with the tokens of a tokenizer.json, and that."""
    settings = json.loads(tokenizer("byte_level").to_str())
    words = {**settings["model"]["vocab"]}
    words |= {one["content"]: one["id"] for one in settings["added_tokens"]}
    control = {one["content"] for one in settings["added_tokens"]}
    tokens = sorted(words, key=words.__getitem__)
    merges = [" ".join(pair) for pair in settings["model"]["merges"]]
    metadata = {
        "general.architecture": "llama",
        f"{G}model": "gpt2",
        f"{G}tokens": tokens,
        f"{G}token_type": [3 if one in control else 1 for one in tokens],
        f"{G}merges": merges,
        f"{G}eos_token_id": words["<|im_end|>"],
        f"{G}bos_token_id": words["<|im_start|>"],
    }
    return gguf_bytes(metadata), settings


def test_a_byte_level_tokenizer_is_the_one_that_the_file_was_made_of() -> None:
    data, settings = byte_level()
    made = read(data)
    assert made is not None
    own, given = Vocabulary(json.dumps(made.settings)), Vocabulary(json.dumps(settings))
    for text in TEXTS:
        assert own.encode_text(text) == given.encode_text(text)
        assert own.decode(own.encode_text(text)) == text
    assert own.control == given.control
    assert made.ends == {given.control["<|im_end|>"]}
    assert made.specials["bos_token"] == "<|im_start|>"


def test_the_bundled_model_has_its_own_tokens() -> None:
    made = read(Path(demo_model()).read_bytes())
    assert made is not None
    own = Vocabulary(json.dumps(made.settings))
    assert own.size == 1536
    assert [piece.text for piece in own.surrounding[0]] == ["<s>"]  # type: ignore[union-attr]
    for text in TEXTS:
        assert own.decode(own.encode_text(text)) == text
    assert made.ends == {own.control["</s>"], own.control["<|end|>"]}


@pytest.mark.parametrize(
    "metadata",
    [{}, {f"{G}model": "gpt2"}, {f"{G}model": "rwkv", f"{G}tokens": ["a"]}],
    ids=["nothing", "no tokens", "another kind"],
)
def test_what_is_not_known_is_none(metadata: dict[str, object]) -> None:
    assert read(gguf_bytes({"general.architecture": "llama", **metadata})) is None


@pytest.mark.parametrize("cut", [0, 3, 30, 90, 200, 2000])
def test_a_damaged_file_is_an_error(cut: int) -> None:
    data, _ = byte_level()
    with pytest.raises(ValueError):
        read(data[:cut])


def test_ids_beyond_the_tokens_are_left_out() -> None:
    metadata = {f"{G}model": "gpt2", f"{G}tokens": ["a"], f"{G}eos_token_id": 7}
    made = read(gguf_bytes(metadata))
    assert made is not None
    assert (made.ends, made.specials) == (frozenset(), {})
