"""The kind of a file is recognised from its contents."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping

import pytest
from gguf_files import gguf_bytes
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.formats.file_kind import FileKind, file_kind


def kind_of(data: bytes) -> FileKind:
    return file_kind(lambda offset, length: data[offset : offset + length], len(data))


def rkllm_bytes(toolkit: str = "1.2.3") -> bytes:
    start = b"\x91\x02\xfe\x7c" + struct.pack("<IQQQ", 3, 200, 30, 20)
    return start + bytes(range(256)) * 20 + f"rkllm-toolkit version: {toolkit}".encode()


def safetensors_bytes(data: int = 64, header: Mapping[str, object] | None = None) -> bytes:
    header = header or {"w": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def zip_bytes() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return file.getvalue()


LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 1234567890\n"
)
KINDS: Mapping[str, tuple[str, bytes]] = {
    "model of the vendor": ("rkllm", rkllm_bytes()),
    "GGUF": ("gguf", gguf_bytes()),
    "adapter in GGUF": ("adapter", gguf_bytes({"general.type": "adapter"})),
    "image encoder in GGUF": ("projector", gguf_bytes({"general.architecture": "clip"})),
    "part of a GGUF": ("part", gguf_bytes({"split.count": 2})),
    "script": ("script", b"#!rkllm-script 1\non default\n"),
    "empty": ("empty", b""),
    "pointer of Git LFS": ("lfs-pointer", LFS),
    "page": ("html", b"\n <!DOCTYPE html><html><body>404</body></html>"),
    "page of the old kind": ("html", b"<HTML><HEAD>"),
    "page with a mark of its encoding": ("html", b"\xef\xbb\xbf<html>"),
    "error of a store": ("html", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    "JSON": ("json", b'{"error": "Repository not found"}'),
    "list in JSON": ("json", b'[\n "\xc3\xa4"]'),
    "answer in words": ("text", b"Entry not found"),
    "safetensors": ("safetensors", safetensors_bytes()),
    "ZIP": ("zip", zip_bytes()),
    "gzip": ("archive", gzip.compress(b"x")),
    "pickle": ("pickle", pickle.dumps({"a": 1}, 2)),
    "library": ("elf", b"\x7fELF" + bytes(100)),
    "image encoder": ("rknn", b"RKNN" + bytes(100)),
    "saved prompt": ("prompt-cache", b"rkllm-cpu kv 1\n\0" + bytes(50)),
    "begun download": ("zeros", bytes(5000)),
    "other bytes": ("unknown", bytes(range(1, 256)) * 4),
}
MODELS = {"rkllm", "gguf", "script", "unknown"}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_known_by_its_bytes(name: str) -> None:
    kind, data = KINDS[name]
    assert kind_of(data).name == kind


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_model_has_a_sentence_that_says_what_to_do(name: str) -> None:
    kind, data = KINDS[name]
    found = kind_of(data)
    if kind in MODELS:
        assert found.problem is None
    else:
        assert found.problem is not None
        assert found.problem.startswith(f"is {found.words}; ")


def test_a_model_of_the_vendor_says_which_toolkit_made_it() -> None:
    assert kind_of(rkllm_bytes("1.2.1b1")).toolkit == "1.2.1b1"


def test_the_toolkit_alone_shows_a_model_of_the_vendor() -> None:
    assert kind_of(b"\x07" * 900 + b"rkllm-toolkit version: 1.1.4\n").name == "rkllm"


def test_the_first_bytes_alone_show_a_model_of_the_vendor() -> None:
    found = kind_of(rkllm_bytes()[:2000])
    assert (found.name, found.toolkit, found.problem) == ("rkllm", None, None)


def test_a_gguf_has_its_header() -> None:
    header = kind_of(gguf_bytes({"general.architecture": "gemma3"})).header
    assert header is not None
    assert header.architecture == "gemma3"


@pytest.mark.parametrize(
    ("whole", "shortest"),
    [(gguf_bytes(), 4), (safetensors_bytes(), 10)],
    ids=["gguf", "safetensors"],
)
def test_a_file_that_was_cut_short_anywhere_is_known_as_such(whole: bytes, shortest: int) -> None:
    for end in range(shortest, len(whole)):
        found = kind_of(whole[:end])
        assert found.name == "truncated"
        assert f"cut short at {end} bytes" in str(found.problem)


def test_a_cut_file_is_told_how_long_it_should_be() -> None:
    whole = gguf_bytes()
    assert f"its tensors need {len(whole)} bytes" in kind_of(whole[:-1]).words


def test_a_gguf_of_another_version_is_damaged_in_words() -> None:
    found = kind_of(gguf_bytes(version=9))
    assert found.name == "damaged"
    assert found.problem == "is a GGUF file that has version 9 of GGUF; download it again"


def test_a_header_of_safetensors_that_is_no_json_says_no_length() -> None:
    assert kind_of(struct.pack("<Q", 40) + b"{" * 40 + bytes(5)).name == "safetensors"


def test_a_character_that_the_head_cuts_is_still_text() -> None:
    assert kind_of(("x" + "ä" * 5000).encode()).name == "text"


def test_a_file_that_shrinks_while_it_is_read_is_no_fault() -> None:
    whole = gguf_bytes()
    assert file_kind(lambda at, n: whole[: len(whole) // 3][at : at + n], len(whole)).name == (
        "truncated"
    )


@given(
    st.sampled_from([data for _, data in KINDS.values()]),
    st.binary(max_size=40),
    st.integers(0, 99),
)
def test_any_bytes_are_of_some_kind(start: bytes, tail: bytes, cut: int) -> None:
    found = kind_of(start[:cut] + tail)
    assert found.words
