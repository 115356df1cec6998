"""GGUF files that no engine runs are refused while the model before stays loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf_bytes

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.runtime.model_file import check_model_file
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

LLAMA = "llama (llama.cpp 0.5.0, /usr/lib/libllama.so, on CPU), scripted"
NO_DECODERS = [
    ({"general.architecture": "mamba"}, "a recurrent model (mamba);"),
    ({"general.architecture": "rwkv6"}, "a recurrent model (rwkv6);"),
    ({"general.architecture": "jamba"}, "a model that is partly recurrent (jamba);"),
    ({"general.architecture": "t5"}, "an encoder-decoder model (t5);"),
    ({"general.architecture": "t5encoder"}, "an encoder (t5encoder), which generates no text;"),
    ({"general.architecture": "dream"}, "a diffusion model (dream);"),
    (
        {"general.architecture": "qwen2vl", "qwen2vl.rope.dimension_sections": [16, 24, 24, 0]},
        "a model with several positions per token (M-RoPE) (qwen2vl);",
    ),
    (
        {"general.architecture": "bert", "bert.pooling_type": 2},
        "an embedding model (bert), which generates no text;",
    ),
    (
        {"general.architecture": "nomic-bert", "nomic-bert.pooling_type": 1},
        "an embedding model (nomic-bert), which generates no text;",
    ),
    (
        {"general.architecture": "qwen3", "qwen3.pooling_type": 3},
        "an embedding model (qwen3), which generates no text;",
    ),
    ({"general.architecture": "clip"}, "the image encoder of a model in GGUF;"),
    ({"general.type": "mmproj", "general.architecture": "gemma3"}, "the image encoder of a model"),
    (
        {"general.architecture": "qwen2", "split.no": 0, "split.count": 3},
        "one part of a GGUF model that was split;",
    ),
    ({"general.architecture": "llama", "general.type": "adapter"}, "a LoRA adapter in GGUF;"),
]
#: What may be a decoder is left to llama.cpp.
DECODERS: list[Mapping[str, object]] = [
    {"general.architecture": "llama"},
    {"general.architecture": "qwen3", "qwen3.pooling_type": 0},
    {"general.architecture": "an architecture of tomorrow"},
    {"general.name": "a file without an architecture"},
]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    """A runtime with the bundled model."""
    runtime = open_runtime("cpu", "1.3.0", {})
    load(runtime, demo_model())
    yield runtime
    runtime.close()


def load(runtime: Runtime, path: Path) -> None:
    """Load a model."""
    runtime.perform(runtime.prepare("rkllm_init", [{"model_path": str(path), "top_k": 1}]))


def answer(runtime: Runtime) -> str:
    """The loaded model's answer, with its figures left out."""
    texts: list[Any] = []
    params = {"rkllm_input": {"prompt_input": "What is a list?"}}
    infer = {"rkllm_infer_params": {"keep_history": 0}}
    runtime.perform(
        runtime.prepare("rkllm_run", {**params, **infer}),
        lambda results: texts.extend(r["text"] for r in results if r["_callback_state"] == 0),
    )
    return "".join(texts)


def refusal(runtime: Runtime, path: Path, backend: str) -> str:
    """What a backend says of a file before it loads it."""
    prepared = runtime.prepare("rkllm_init", [{"model_path": str(path)}])
    try:
        check_model_file(prepared, backend)
    except InvalidParams as error:
        return str(error)
    return ""


@pytest.mark.parametrize("backend", [LLAMA, "cpu (tiny, scripted)"])
@pytest.mark.parametrize(("metadata", "words"), NO_DECODERS)
def test_a_file_that_is_no_decoder_is_named(
    runtime: Runtime, tmp_path: Path, metadata: Mapping[str, object], words: str, backend: str
) -> None:
    """One sentence says what it is."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(metadata))
    said = refusal(runtime, path, backend)
    assert f"param.model_path: {path} is {words}" in said
    assert said.endswith(". No model was unloaded.")


@pytest.mark.parametrize("metadata", DECODERS)
def test_a_file_that_may_be_a_decoder_is_left_to_llama_cpp(
    runtime: Runtime, tmp_path: Path, metadata: Mapping[str, object]
) -> None:
    """No table knows the architectures of tomorrow."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(metadata))
    assert refusal(runtime, path, LLAMA) == ""


def test_the_bundled_engine_names_an_architecture_that_it_does_not_read(
    runtime: Runtime, tmp_path: Path
) -> None:
    """The sentence says what runs it."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes({"general.architecture": "qwen2"}))
    assert "is a model of the architecture qwen2; --library cpu reads llama only" in refusal(
        runtime, path, "cpu (tiny, scripted)"
    )


@pytest.mark.parametrize(
    ("number", "name"), [(3, "Q4_1"), (12, "Q4_K"), (0, None), (1, None), (8, None)]
)
def test_the_bundled_engine_names_a_quantization_that_it_does_not_read(
    runtime: Runtime, tmp_path: Path, number: int, name: str | None
) -> None:
    """Most models of other people are quantised further than to Q8_0."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(tensors=[("token_embd.weight", (256, 8), number)]))
    said = refusal(runtime, path, "cpu (tiny, scripted)")
    words = f"{path} is quantised as {name}; --library cpu reads F32, F16 and Q8_0 only, start"
    assert (words in said) if name else said == ""
    assert refusal(runtime, path, LLAMA) == ""


def test_the_model_that_is_loaded_stays(runtime: Runtime, tmp_path: Path) -> None:
    """It answers as before."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes({"general.architecture": "rwkv6"}))
    before = answer(runtime)
    with pytest.raises(InvalidParams, match="recurrent"):
        load(runtime, path)
    assert answer(runtime) == before != ""
