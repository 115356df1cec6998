"""Embeddings of another width than the loaded model's never reach C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from embedded_layouts import EMBEDDED_LAYOUTS

from rkllm_twisted.abi.release import releases
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams, RuntimeCrashed, RuntimeRefused
from rkllm_twisted.runtime.model import learn_width
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

#: A model whose embeddings have 8 numbers, and whose runs have different texts.
SCRIPT = 'embd 8\nrun mode hidden\nhidden 1 8\nnofinish\nrun\ntoken "first"\nrun\ntoken "second"\n'
WITH_CACHE_SIZES = [
    name for name in EMBEDDED_LAYOUTS if "rkllm_get_kv_cache_size" in releases()[name].functions
]


def embed(size: int, tokens: int) -> list[Any]:
    """The parameters of a run on embeddings."""
    value = {"embed": [0.5] * size, "n_tokens": tokens}
    return [{"input_type": "RKLLM_INPUT_EMBED", "embed_input": value}]


def image(abi: str, size: int, tokens: int) -> list[Any]:
    """The parameters of a run on one picture; before 1.2.1 there is no count of pictures."""
    value = {"prompt": "<image>what?", "image_embed": [0.5] * size, "n_image_tokens": tokens}
    if abi not in {"1.1.4", "1.2.0"}:
        value["n_image"] = 1
    return [{"input_type": "RKLLM_INPUT_MULTIMODAL", "multimodal_input": value}]


@pytest.fixture(params=EMBEDDED_LAYOUTS)
def abi(request: pytest.FixtureRequest) -> str:
    """Each release that has a layout of its own."""
    return str(request.param)


@pytest.fixture
def load(abi: str, tmp_path: Path) -> Iterator[Callable[[str], Runtime]]:
    """A function that loads a scripted model into a runtime."""
    runtime = open_runtime("cpu", abi, {})

    def load(script: str) -> Runtime:
        model = tmp_path / "model.script"
        model.write_text(f"#!rkllm-script 1\n{script}")
        runtime.perform(runtime.prepare("rkllm_init", [{"model_path": str(model)}]))
        return runtime

    yield load
    runtime.close()


def run(runtime: Runtime, params: list[Any]) -> str:
    """Run, and give the text."""
    texts: list[str] = []
    prepared = runtime.prepare("rkllm_run", params)
    runtime.perform(prepared, lambda results: texts.append(str(results[0]["text"] or "")))
    return "".join(texts)


@pytest.mark.parametrize("size", [2, 14, 18, 32])
def test_embeddings_of_another_width_are_refused(load: Any, size: int) -> None:
    """Both numbers are said; the run does not take place, and the next one does."""
    runtime = load(SCRIPT)
    what = rf"embed_input.embed: has {size} elements.* 8 wide: n_tokens \* 8 = 16"
    with pytest.raises(InvalidParams, match=what):
        run(runtime, embed(size, 2))
    assert run(runtime, embed(16, 2)) == "first"


@pytest.mark.parametrize("size", [6, 24])
def test_a_picture_of_another_width_is_refused(load: Any, abi: str, size: int) -> None:
    """A picture's embeddings are as wide as the model's."""
    runtime = load(SCRIPT)
    what = rf"image_embed: has {size} elements.* 8 wide: n_image \* n_image_tokens \* 8 = 16"
    with pytest.raises(InvalidParams, match=what):
        run(runtime, image(abi, size, 2))
    assert run(runtime, image(abi, 16, 2)) == "first"


def test_an_encoder_with_several_outputs(load: Any, abi: str) -> None:
    """Each token has one embedding per output, so its length is a multiple of the width."""
    assert run(load(SCRIPT), image(abi, 48, 2)) == "first"


def test_the_model_is_asked_once(load: Any) -> None:
    """The question costs one token per model, not one per run."""
    runtime = load("embd 8\n" + 'run\nhidden 1 8\nnofinish\nrun\ntoken "a"\nrun\ntoken "b"\n')
    assert [run(runtime, embed(8, 1)), run(runtime, embed(8, 1))] == ["a", "b"]
    runtime = load('embd 4\nrun\nhidden 1 4\nnofinish\nrun\ntoken "c"\n')
    assert run(runtime, embed(4, 1)) == "c"


def test_a_prompt_asks_for_nothing(load: Any) -> None:
    """A run without embeddings does not ask the model for their width."""
    assert run(load('run\ntoken "a"\nrun\nsegv\n'), [{"prompt_input": "hi"}]) == "a"


@pytest.mark.parametrize("cannot", ['token "no states"', "error", "null\nnofinish"])
def test_a_runtime_without_hidden_states(load: Any, cannot: str) -> None:
    """The width is asked for once and stays unknown; the other checks remain."""
    runtime = load(f'embd 8\nrun\n{cannot}\nrun\ntoken "a"\nrun\ntoken "b"\n')
    assert [run(runtime, embed(16, 2)), run(runtime, embed(8, 1))] == ["a", "b"]
    with pytest.raises(InvalidParams, match="has 3 elements, which is no multiple of n_tokens = 2"):
        run(runtime, embed(3, 2))


def test_an_abort_meanwhile_is_the_runs(load: Any) -> None:
    """An abort during the question for the width prevents the run."""
    script = 'embd 8\nrun\nhang until abort\nnofinish\nrun\nhidden 1 8\nnofinish\nrun\ntoken "x"\n'
    runtime = load(script)
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.append(run(runtime, embed(8, 1))))
    thread.start()
    while thread.is_alive():
        try:
            runtime.abort()
        except RuntimeRefused:  # it does not run yet, or no more
            thread.join(0.001)
    assert texts == [""]
    with pytest.raises(InvalidParams, match="has 3 elements"):
        run(runtime, embed(3, 1))
    assert run(runtime, embed(8, 1)) == "x"


@pytest.mark.parametrize("abi", WITH_CACHE_SIZES)
def test_the_history_is_as_before(abi: str) -> None:
    """The real engine keeps the conversation, without the question for the width."""
    runtime = open_runtime("cpu", abi, {})
    param = {"model_path": str(demo_model()), "max_new_tokens": 4}
    runtime.perform(runtime.prepare("rkllm_init", [param]))
    keep = {"mode": 0, "keep_history": 1}
    runtime.perform(runtime.prepare("rkllm_run", [{"prompt_input": "hi"}, keep]), lambda _: None)
    sizes = runtime.prepare("rkllm_get_kv_cache_size", None)
    before = runtime.perform(sizes)["cache_sizes"]
    with pytest.raises(InvalidParams, match=r"has 5 elements.*n_tokens \* \d+"):
        run(runtime, embed(5, 1))
    sizes = runtime.prepare("rkllm_get_kv_cache_size", None)
    assert runtime.perform(sizes)["cache_sizes"] == before != [0]
    runtime.close()


def test_a_token_that_stays_in_the_cache_is_cleared() -> None:
    """The clearing removes only the question's token, in each row."""
    calls: list[tuple[str, Any]] = []
    sizes = iter([[10, 7], [11, 8]])

    def call(function: str, params: Any, heard: Any) -> dict[str, Any]:
        calls.append((function, params))
        if function == "rkllm_get_kv_cache_size":
            return {"cache_sizes": next(sizes)}
        if heard is not None:
            heard([{"last_hidden_layer": {"embd_size": 8}}])
        return {}

    assert learn_width(call) == 8
    cleared = {"keep_system_prompt": 0, "start_pos": [10, 7], "end_pos": [11, 8]}
    assert calls[-1] == ("rkllm_clear_kv_cache", cleared)


def test_the_width_can_be_asked_for_before_there_are_embeddings(load: Any) -> None:
    """The first question runs one token; the run after it needs no other."""
    runtime = load(SCRIPT)
    assert [runtime.embedding_width(), runtime.embedding_width()] == [8, 8]
    assert run(runtime, embed(8, 1)) == "first"


def test_an_aborted_question_is_asked_again(load: Any) -> None:
    """It had no answer."""
    runtime = load("embd 8\nrun\nhang until abort\nnofinish\nrun\nhidden 1 8\nnofinish\n")
    widths: list[int] = []
    thread = threading.Thread(target=lambda: widths.append(runtime.embedding_width()))
    thread.start()
    while thread.is_alive():
        try:
            runtime.abort()
        except RuntimeRefused:  # it does not run yet, or no more
            thread.join(0.001)
    assert [*widths, runtime.embedding_width()] == [0, 8]


def test_a_crash_during_the_question_is_one() -> None:
    """A refusal says less than the real run's; the end of the process says all."""

    def call(_function: str, _params: Any, heard: Any) -> dict[str, Any]:
        if heard is not None:
            raise RuntimeCrashed("The runtime's process was killed by SIGSEGV.")
        return {"cache_sizes": [0]}

    with pytest.raises(RuntimeCrashed, match="SIGSEGV"):
        learn_width(call)
