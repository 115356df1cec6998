"""The header of a GGUF file."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Mapping

import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf_files import gguf_bytes, text
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted import cpu
from rkllm_twisted.formats import gguf
from rkllm_twisted.formats.gguf import GGUFHeader, read_gguf
from rkllm_twisted.formats.reading import EndsEarly


def read(data: bytes) -> GGUFHeader:
    return read_gguf(lambda offset, length: data[offset : offset + length], len(data))


def test_the_bundled_model_says_what_it_is() -> None:
    path = cpu.demo_model()
    with path.open("rb") as file:
        header = read_gguf(
            lambda offset, length: os.pread(file.fileno(), length, offset), path.stat().st_size
        )
    assert header.architecture == "llama"
    assert header.quantization == "Q8_0"
    assert header.context == 512
    assert header.name is not None
    assert header.template is not None
    assert header.length == path.stat().st_size


def test_metadata_has_scalars_and_texts_and_leaves_arrays_out() -> None:
    header = read(
        gguf_bytes(
            {
                "general.architecture": "qwen2",
                "tokenizer.ggml.tokens": ["a", "b", ""],
                "tokenizer.ggml.token_type": [1, 2, 3],
                "qwen2.context_length": 32768,
                "qwen2.rope.freq_base": 0.5,
                "tokenizer.ggml.add_bos_token": False,
                "general.name": "Qwen",
            }
        )
    )
    assert header.metadata == {
        "general.architecture": "qwen2",
        "qwen2.context_length": 32768,
        "qwen2.rope.freq_base": 0.5,
        "tokenizer.ggml.add_bos_token": False,
        "general.name": "Qwen",
    }
    assert (header.architecture, header.name, header.context) == ("qwen2", "Qwen", 32768)
    assert header.parameters == 32


@pytest.mark.parametrize(
    ("metadata", "role"),
    [
        ({"general.architecture": "llama"}, "model"),
        ({"general.architecture": "llama", "general.type": "adapter"}, "adapter"),
        ({"general.architecture": "clip"}, "projector"),
        ({"general.type": "mmproj"}, "projector"),
        ({"general.architecture": "llama", "split.count": 3}, "part"),
        ({"general.architecture": "llama", "split.count": 1}, "model"),
    ],
)
def test_a_file_says_what_it_is_for(metadata: Mapping[str, object], role: str) -> None:
    assert read(gguf_bytes(metadata)).role == role


def test_a_context_that_is_no_number_is_none() -> None:
    header = read(gguf_bytes({"general.architecture": "llama", "llama.context_length": "much"}))
    assert header.context is None


def test_the_type_of_most_numbers_is_the_quantization() -> None:
    tensors = [("a", (32, 3), 8), ("norm", (32,), 0)]
    assert read(gguf_bytes(tensors=tensors)).quantization == "Q8_0"


def test_a_type_that_is_not_known_has_no_name_and_needs_its_offset_only() -> None:
    header = read(gguf_bytes(tensors=[("a", (32, 3), 99)]))
    assert header.quantization is None


def test_a_large_vocabulary_is_passed_over_block_by_block() -> None:
    tokens = [f"token{n}" * (n % 7) for n in range(40_000)]
    tokens[100] = "x" * 600_000  # longer than a block
    header = read(gguf_bytes({"tokenizer.ggml.tokens": tokens, "general.architecture": "phi3"}))
    assert header.architecture == "phi3"


@pytest.mark.parametrize("number", gguf.TENSOR_TYPES)
def test_sizes_of_types_are_those_of_the_gguf_package(number: int) -> None:
    known = gguf.TENSOR_TYPES[number]
    kind = GGMLQuantizationType[known.name]
    assert kind.value == number
    assert GGML_QUANT_SIZES[kind] == (known.count, known.size)


def test_a_file_that_ends_within_its_header_says_so() -> None:
    whole = gguf_bytes({"general.architecture": "llama", "x": [1, 2], "y": ["a", "b"]}, data=0)
    for end in range(4, len(whole) - 31):
        with pytest.raises(EndsEarly):
            read(whole[:end])


def start(version: int = 3, tensors: int = 0, keys: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GGML" + bytes(60), "does not begin"),
        (start(version=1), "version 1 of GGUF"),
        (b"GGUF\0\0\0\3" + bytes(60), "big-endian"),
        (start(keys=1 << 40), "keys"),
        (start(tensors=1 << 40), "tensors"),
        (start() + text("k") + struct.pack("<I", 77), "type 77"),
        (start() + text("k") + struct.pack("<IIQ", 9, 9, 1), "type 9"),
        (start() + text("k") + struct.pack("<IIQ", 9, 8, 1 << 50), "texts"),
        (gguf_bytes({"general.alignment": 0}), "alignment"),
        (start(tensors=1, keys=0) + text("t") + struct.pack("<I", 9), "9 dimensions"),
    ],
)
def test_what_is_no_gguf_that_is_known_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(data)


def test_a_header_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "MAX_HEADER_BYTES", 1000)
    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        read(gguf_bytes({"x": "y" * 5000}))


def test_a_text_that_is_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "MAX_TEXT_BYTES", 10)
    header = read(gguf_bytes({"a": "y" * 11, "b": "y" * 10}))
    assert header.metadata == {"b": "y" * 10}


def test_texts_beyond_the_room_for_metadata_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "MAX_METADATA_BYTES", 100)
    header = read(gguf_bytes({f"key{n}": "y" * 30 for n in range(100)}))
    assert 0 < len(header.metadata) <= 3


@given(st.binary(max_size=300), st.integers(0, 200))
def test_any_bytes_give_a_header_or_a_value_error(tail: bytes, cut: int) -> None:
    data = gguf_bytes({"general.architecture": "llama", "x": ["a", "b"]})[:cut] + tail
    with contextlib.suppress(ValueError):
        assert read(data).length >= 24
