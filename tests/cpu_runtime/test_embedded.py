"""The embedded runtime does real inference: every function, on the bundled model."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_by_one import one_by_one

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import NotInRelease, RuntimeRefused
from rkllm_twisted.runtime.runtime import Runtime, open_runtime
from rkllm_twisted.values import FloatArray

ABIS = ["1.1.4", "1.2.0", "1.2.1", "1.3.0"]
SINCE_1_2_1 = ["1.2.1", "1.3.0"]
LORA = demo_model().with_name("tiny-pydocs-lora.gguf")
#: Beginning of text, a user's turn, and the assistant's turn: any valid ids would do.
IDS = [1, 4, 44, 100, 300, 7, 5]
QUESTION = {"prompt_input": "What is a list?"}


class Model:
    """The bundled model in the embedded runtime, with greedy sampling."""

    def __init__(self, runtime: Runtime, path: Path | None = None) -> None:
        self.runtime, self.path = runtime, path or demo_model()
        self.call("rkllm_init", param={"model_path": str(self.path), "top_k": 1})

    def call(self, function: str, on_result: Any = None, **params: Any) -> Any:
        """Call a function with named parameters."""
        return self.runtime.perform(self.runtime.prepare(function, params), one_by_one(on_result))

    def run(self, source: Mapping[str, Any], **infer: Any) -> list[Any]:
        """Return all results of a run."""
        results: list[Any] = []
        params = {"rkllm_infer_params": infer} if infer else {}
        self.call("rkllm_run", results.append, rkllm_input=source, **params)
        return results

    def text(self, source: Mapping[str, Any], **infer: Any) -> str:
        """Return the text of a run."""
        return "".join(r["text"] for r in self.run(source, **infer) if r["_callback_state"] == 0)

    def ask(self, prompt: str, **infer: Any) -> str:
        """Return the answer to a prompt."""
        return self.text({"prompt_input": prompt}, **infer)

    def cache_size(self) -> int:
        """Return the number of tokens in the cache."""
        (size,) = self.call("rkllm_get_kv_cache_size")["cache_sizes"]
        return int(size)


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    """Load the model on a release, by default 1.3.0."""
    runtime = open_runtime("cpu", getattr(request, "param", "1.3.0"), {})
    yield Model(runtime)
    runtime.close()


@pytest.fixture(scope="session")
def unrounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the bundled model's weights as F32, which no vector is rounded for."""
    path = tmp_path_factory.mktemp("f32") / "f32.gguf"
    path.write_bytes(module_in("tests", "as_f32").as_f32(demo_model().read_bytes()))
    return path


@pytest.fixture
def exact(request: pytest.FixtureRequest, unrounded: Path) -> Iterator[Model]:
    """Load the bundled model's weights as F32, by default on 1.3.0."""
    runtime = open_runtime("cpu", getattr(request, "param", "1.3.0"), {})
    yield Model(runtime, unrounded)
    runtime.close()


def module_in(folder: str, name: str) -> Any:
    """Import a module that stands beside the embedded runtime's source."""
    path = Path(__file__).parents[2] / "cpu_runtime" / folder
    sys.path.insert(0, str(path))
    spec = importlib.util.spec_from_file_location(name, path / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(path))
    return module


@pytest.fixture(scope="session")
def reference() -> Any:
    """Load the numpy forward pass beside the model's training script."""
    return module_in("model", "reference")


def array_of(results: list[Any], part: str, member: str) -> np.ndarray:
    """Return the float array of a run."""
    (floats,) = [r[part][member] for r in results if r[part][member] is not None]
    assert isinstance(floats, FloatArray)
    return np.frombuffer(floats.data, "<f4").reshape(floats.shape)


def tokens(ids: list[int]) -> dict[str, Any]:
    """Make an input of token ids."""
    return {
        "input_type": "RKLLM_INPUT_TOKEN",
        "token_input": {"input_ids": ids, "n_tokens": len(ids)},
    }


every_release = pytest.mark.parametrize("model", ABIS, indirect=True)
since_1_2_1 = pytest.mark.parametrize("model", SINCE_1_2_1, indirect=True)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this process has one processor")
def test_threads_that_are_asked_for_answer_the_same(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second thread starts with a prompt of many tokens."""
    prompt = "What is a list? " * 12
    alone, before = model.ask(prompt), threads_here()
    monkeypatch.setenv("RKLLM_CPU_THREADS", "2")
    runtime = open_runtime("cpu", "1.3.0", {})
    shared = Model(runtime)
    assert shared.ask(prompt) == alone
    assert threads_here() == before + 1
    runtime.close()


def threads_here() -> int:
    """Count the threads of this process."""
    return len(list(Path("/proc/self/task").iterdir()))


def test_a_scripted_token_says_when_it_was_given(tmp_path: Path) -> None:
    """`clock` is in microseconds of the monotonic clock, so a client can compute a token's age."""
    path = tmp_path / "clock.script"
    path.write_text("#!rkllm-script 1\nrun\n delay 2\n clock 3\n")
    runtime = open_runtime("cpu", "1.3.0", {})
    texts: list[Any] = []
    runtime.perform(runtime.prepare("rkllm_init", [{"model_path": str(path)}]))
    begun = time.monotonic_ns() // 1000
    params = {"rkllm_input": {"prompt_input": "x"}}
    runtime.perform(
        runtime.prepare("rkllm_run", params),
        lambda results: texts.extend(r["text"] for r in results if r["_callback_state"] == 0),
    )
    ended = time.monotonic_ns() // 1000
    runtime.close()
    times = [int(text) for text in texts]
    assert len(times) == 3
    assert begun + 2000 <= times[0] <= times[1] - 2000 <= times[2] - 4000 <= ended


@every_release
def test_a_question_is_answered(model: Model) -> None:
    """The answer is a sentence that ends by itself."""
    answer = model.ask("What is a module?")
    assert answer.endswith(".")
    assert len(answer.split()) > 5


@pytest.mark.parametrize("exact", ["1.2.0", "1.2.1", "1.3.0"], indirect=True)
def test_logits_agree_with_the_reference(exact: Model, reference: Any) -> None:
    """The same F32 weights give the same logits to three decimals, for every position."""
    results = exact.run(tokens(IDS), mode="RKLLM_INFER_GET_LOGITS")
    logits = array_of(results, "logits", "logits")
    expected = reference.Model(exact.path).logits(IDS)
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() < 0.0005


def test_rounded_vectors_move_logits_as_far_as_documented(model: Model, reference: Any) -> None:
    """Q8_0 weights multiply vectors of whole numbers: cpu_runtime/README.md, Numbers."""
    results = model.run(tokens(IDS), mode="RKLLM_INFER_GET_LOGITS")
    moved = np.abs(
        array_of(results, "logits", "logits") - reference.Model(demo_model()).logits(IDS)
    )
    assert 0.001 < moved.max() < 0.25


@pytest.mark.parametrize("exact", ABIS, indirect=True)
def test_hidden_states_agree_with_the_reference(exact: Model, reference: Any) -> None:
    """The hidden states are those after the final norm, one row per token."""
    results = exact.run(tokens(IDS), mode="RKLLM_INFER_GET_LAST_HIDDEN_LAYER")
    hidden = array_of(results, "last_hidden_layer", "hidden_states")
    expected = reference.Model(exact.path).hidden(IDS)
    assert hidden.shape == expected.shape
    assert np.abs(hidden - expected).max() < 0.0005


def test_logits_with_an_adapter_agree_with_the_reference(exact: Model, reference: Any) -> None:
    """The runtime computes the LoRA adapter and applies its scale."""
    load(exact, scale=0.5)
    results = exact.run(tokens(IDS), mode=2, lora_params={"lora_adapter_name": "arr"})
    expected = reference.Model(exact.path, LORA, 0.5).logits(IDS)
    assert np.abs(array_of(results, "logits", "logits") - expected).max() < 0.0005


@every_release
def test_embeddings_say_what_their_tokens_say(model: Model, reference: Any) -> None:
    """Rows of the model's embedding matrix give the same answer as their tokens."""
    rows = reference.Model(demo_model()).weights["token_embd.weight"][IDS]
    embedded = {"embed": rows.tolist(), "n_tokens": len(IDS)}
    by_rows = model.text({"input_type": 2, "embed_input": embedded})
    assert by_rows == model.text(tokens(IDS))


@every_release
def test_multimodal_input_splices_embeddings_in(model: Model) -> None:
    """The same picture gives the same answer; another picture gives another."""

    def answer(value: float) -> str:
        pixels = [value * ((i * 7919) % 13 - 6) for i in range(192 * 4)]
        image = {"image_embed": pixels, "n_image_tokens": 4}
        if model.runtime.version.abi in SINCE_1_2_1:
            image |= {"n_image": 1, "image_width": 2, "image_height": 2}
        source = {"prompt": "<image>What is this?", **image}
        return model.text({"input_type": 3, "multimodal_input": source})

    assert answer(0.01) == answer(0.01)
    assert answer(0.01) != answer(1.0)


def load(model: Model, scale: float = 1.0) -> None:
    """Load the bundled adapter."""
    adapter = {"lora_adapter_path": str(LORA), "lora_adapter_name": "arr", "scale": scale}
    model.call("rkllm_load_lora", lora_adapter=adapter)


@every_release
def test_an_adapter_shows_where_it_is_chosen_and_only_there(model: Model) -> None:
    """The bundled adapter makes the model talk like a pirate."""
    load(model)
    assert model.text(QUESTION, lora_params={"lora_adapter_name": "arr"}).startswith("Arr")
    assert not model.text(QUESTION).startswith("Arr")


def test_an_adapter_that_is_not_loaded_is_refused(model: Model) -> None:
    """The model continues to work."""
    with pytest.raises(RuntimeRefused):
        model.run(QUESTION, lora_params={"lora_adapter_name": "other"})
    assert model.text(QUESTION)


@since_1_2_1
def test_history_fills_the_cache_and_clearing_empties_it(model: Model) -> None:
    """The size counts the tokens, and the model forgets the earlier turn."""
    assert model.cache_size() == 0
    model.ask("My name is Anna.", keep_history=1)
    size = model.cache_size()
    assert size > 8
    assert "Anna" in model.ask("What is my name?", keep_history=1)
    assert model.cache_size() > size
    model.call("rkllm_clear_kv_cache", keep_system_prompt=0)
    assert model.cache_size() == 0
    assert "Anna" not in model.ask("What is my name?", keep_history=1)


@since_1_2_1
def test_a_system_prompt_is_followed_and_may_be_kept(model: Model) -> None:
    """With keep_system_prompt, it stays in the cache after clearing."""
    model.call(
        "rkllm_set_chat_template",
        system_prompt="Your name is Peter.",
        prompt_prefix="<|user|>",
        prompt_postfix="<|end|><|assistant|>",
    )
    assert "Peter" in model.ask("What is your name?", keep_history=1)
    full = model.cache_size()
    model.call("rkllm_clear_kv_cache", keep_system_prompt=1)
    assert 0 < model.cache_size() < full
    assert "Peter" in model.ask("What is your name?", keep_history=1)


@every_release
def test_a_saved_prompt_cache_is_loaded_and_released(model: Model, tmp_path: Path) -> None:
    """The answer is the same, and fewer prompt tokens are computed."""
    path = tmp_path / "cache.bin"
    prompt = "What is a module? " * 8
    params = {"save_prompt_cache": 1, "prompt_cache_path": str(path)}
    first = model.text({"prompt_input": prompt}, prompt_cache_params=params)
    assert path.stat().st_size > 1000
    model.call("rkllm_load_prompt_cache", prompt_cache_path=str(path))
    results = model.run({"prompt_input": prompt})
    assert "".join(r["text"] for r in results if r["_callback_state"] == 0) == first
    if model.runtime.version.abi in SINCE_1_2_1:
        assert results[-1]["perf"]["prefill_tokens"] < 20
    model.call("rkllm_release_prompt_cache")
    assert model.text({"prompt_input": prompt}) == first


def test_a_damaged_prompt_cache_is_refused(model: Model, tmp_path: Path) -> None:
    """The runtime never loads a damaged file as a cache."""
    path = tmp_path / "cache.bin"
    path.write_bytes(b"no cache" * 100)
    with pytest.raises(RuntimeRefused):
        model.call("rkllm_load_prompt_cache", prompt_cache_path=str(path))


@since_1_2_1
def test_tools_are_told_to_the_model_as_text(model: Model) -> None:
    """The tools are part of the prompt, which grows."""
    before = model.run(QUESTION)[-1]["perf"]["prefill_tokens"]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    model.call(
        "rkllm_set_function_tools",
        system_prompt="You have tools.",
        tools=tools,
        tool_response_str="tool_response",
    )
    assert model.run(QUESTION)[-1]["perf"]["prefill_tokens"] > before + 20
    answer = model.text({"role": "tool", "prompt_input": "21 degrees"})
    assert answer


def test_a_runs_own_limits_and_sampling_are_kept_to(model: Model) -> None:
    """1.3.0 has max_new_tokens and sampling_params per run, and ignore_eos_token per model."""
    assert model.run(QUESTION, max_new_tokens=3)[-1]["perf"]["generate_tokens"] == 3
    hot = {"top_k": 40, "temperature": 2.0, "top_p": 1.0}
    answers = {model.text(QUESTION, sampling_params=hot, max_new_tokens=20) for _ in range(8)}
    assert len(answers) > 1
    assert model.text(QUESTION) == model.text(QUESTION)
    param = {"model_path": str(demo_model()), "top_k": 1, "ignore_eos_token": True}
    model.call("rkllm_init", param={**param, "max_new_tokens": 200})
    assert model.run(QUESTION)[-1]["perf"]["generate_tokens"] == 200


@since_1_2_1
def test_what_the_engine_cannot_do_it_refuses(model: Model) -> None:
    """Cross attention and several answers at once are not supported."""
    encoder = {"encoder_k_cache": [1.0], "encoder_v_cache": [1.0], "encoder_mask": [1.0]}
    with pytest.raises(RuntimeRefused):
        model.call(
            "rkllm_set_cross_attn_params",
            cross_attn_params={**encoder, "encoder_pos": [1], "num_tokens": 1},
        )
    for extend in ({"n_batch": 2}, {"use_cross_attn": 1}):
        param = {"model_path": str(demo_model()), "extend_param": extend}
        with pytest.raises(RuntimeRefused):
            model.call("rkllm_init", param=param)


@pytest.mark.parametrize(
    ("model", "function", "params", "since"),
    [
        ("1.1.4", "rkllm_clear_kv_cache", {"keep_system_prompt": 0}, "1.2.0"),
        ("1.1.4", "rkllm_set_chat_template", {}, "1.2.0"),
        ("1.2.0", "rkllm_get_kv_cache_size", {}, "1.2.1"),
        ("1.2.0", "rkllm_set_function_tools", {"tools": "[]"}, "1.2.1"),
    ],
    indirect=["model"],
)
def test_what_the_release_lacks_is_named_with_the_release_that_has_it(
    model: Model, function: str, params: dict[str, Any], since: str
) -> None:
    """The error code is -32006."""
    with pytest.raises(NotInRelease, match=since):
        model.call(function, **params)


@pytest.mark.parametrize(("template", "warns"), [("{{ messages }}", True), (None, False)])
def test_a_chat_template_that_is_not_applied_is_named_at_load(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], template: str | None, warns: bool
) -> None:
    """The warning says what to do; a model with pieces that are applied has none."""
    path = tmp_path / "m.gguf"
    path.write_bytes(module_in("tests", "make_tiny_gguf").make_model(template=template))
    runtime = open_runtime("cpu", "1.3.0", {})
    param = {"model_path": str(path), "max_context_len": 128}
    runtime.perform(runtime.prepare("rkllm_init", {"param": param}))
    runtime.close()
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W")]
    assert len(warnings) == warns
    assert all("rkllm.set_chat_template sets one" in line for line in warnings)


@pytest.mark.parametrize("abi", ABIS[1:])
@pytest.mark.parametrize("place", ["system_prompt", "prompt_prefix", "prompt_postfix"])
def test_a_template_longer_than_the_context_is_refused(
    capfd: pytest.CaptureFixture[str], abi: str, place: str
) -> None:
    """The reason has both numbers, and the template that was set stays."""
    runtime = open_runtime("cpu", abi, {})
    model = Model(runtime)
    model.call("rkllm_init", param={"model_path": str(demo_model()), "max_context_len": 64})
    texts = dict.fromkeys(["system_prompt", "prompt_prefix", "prompt_postfix"], "")
    model.call("rkllm_set_chat_template", **texts)
    with pytest.raises(RuntimeRefused):
        model.call("rkllm_set_chat_template", **{**texts, place: "word " * 100})
    runtime.close()
    reason = capfd.readouterr().err
    assert re.search(r"the template has \d{3} tokens, but the context has room for 64", reason)


@since_1_2_1
def test_tools_longer_than_the_context_are_refused(
    model: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tools are part of the template."""
    model.call("rkllm_init", param={"model_path": str(demo_model()), "max_context_len": 64})
    tools = [{"name": "word " * 100}]
    with pytest.raises(RuntimeRefused):
        model.call("rkllm_set_function_tools", system_prompt="", tools=tools, tool_response_str="")
    assert "tokens, but the context has room for 64" in capfd.readouterr().err
