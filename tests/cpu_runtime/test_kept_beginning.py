"""A run that is kept reads only what differs from what the cache held, and answers the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

LORA = demo_model().with_name("tiny-pydocs-lora.gguf")
#: Any valid ids would do.
SYSTEM, QUESTION, OTHER = (1, 4, 44, 100, 300), (7, 5, 60, 61), (90, 91, 92)
CONTEXT = 128


def tokens(*ids: int) -> dict[str, Any]:
    """Return an input of token ids."""
    given = {"input_ids": [*ids], "n_tokens": len(ids)}
    return {"input_type": "RKLLM_INPUT_TOKEN", "token_input": given}


class Model:
    """The bundled model, greedy, with an adapter."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        param = {"model_path": str(demo_model()), "top_k": 1, "max_context_len": CONTEXT}
        self.call("rkllm_init", param)
        adapter = {"lora_adapter_path": str(LORA), "lora_adapter_name": "own", "scale": 1.0}
        self.call("rkllm_load_lora", adapter)

    def call(self, function: str, *params: object, on_results: Any = None) -> Mapping[str, Any]:
        return self.runtime.perform(self.runtime.prepare(function, list(params)), on_results)

    def clear(self, keep_system: int = 0) -> None:
        self.call("rkllm_clear_kv_cache", keep_system)

    def run(self, *ids: int, keep: int = 1, limit: int = 6, **more: Any) -> tuple[Any, int]:
        """Return the tokens of an answer, and how many tokens were read for it."""
        return self.perform(tokens(*ids), keep=keep, limit=limit, **more)

    def perform(
        self, source: Mapping[str, Any], keep: int = 1, limit: int = 6, **more: Any
    ) -> tuple[Any, int]:
        results: list[Any] = []
        infer = {"keep_history": keep, "max_new_tokens": limit, **more}
        self.call("rkllm_run", source, infer, on_results=results.extend)
        answer = tuple(one["token_id"] for one in results if one["_callback_state"] == 0)
        return answer, results[-1]["perf"]["prefill_tokens"]


@pytest.fixture
def model() -> Iterator[Model]:
    runtime = open_runtime("cpu", "1.3.0")
    yield Model(runtime)
    runtime.close()


@pytest.fixture(scope="module")
def fresh() -> Iterator[Model]:
    """A model of which nothing is ever kept."""
    runtime = open_runtime("cpu", "1.3.0")
    yield Model(runtime)
    runtime.close()


def alone(fresh: Model, *ids: int, **more: Any) -> Any:
    """Return the answer to a prompt that was read whole."""
    fresh.clear()
    answer, read = fresh.run(*ids, keep=0, **more)
    assert read == len(ids)
    return answer


def test_what_a_cleared_cache_held_is_not_read_again(model: Model, fresh: Model) -> None:
    model.run(*SYSTEM, *QUESTION)
    model.clear()
    answer, read = model.run(*SYSTEM, *OTHER)
    assert read == len(OTHER)
    assert answer == alone(fresh, *SYSTEM, *OTHER)


def test_the_last_token_is_always_read(model: Model) -> None:
    """Its logits are the beginning of the answer."""
    first, _ = model.run(*SYSTEM)
    model.clear()
    assert model.run(*SYSTEM) == (first, 1)


def test_an_answer_that_comes_back_in_the_prompt_is_not_read_again(model: Model) -> None:
    answer, _ = model.run(*SYSTEM)
    model.clear()
    assert model.run(*SYSTEM, *answer, *OTHER)[1] == len(OTHER)


def test_a_run_that_is_not_kept_reads_its_prompt_whole(model: Model) -> None:
    """As a benchmark of reading needs it."""
    model.run(*SYSTEM, keep=0)
    assert model.run(*SYSTEM, keep=0)[1] == len(SYSTEM)


def test_what_another_adapter_has_read_is_read_again(model: Model, fresh: Model) -> None:
    own = {"lora_params": {"lora_adapter_name": "own"}}
    model.run(*SYSTEM)
    model.clear()
    answer, read = model.run(*SYSTEM, **own)
    assert read == len(SYSTEM)
    assert answer == alone(fresh, *SYSTEM, **own)
    model.run(*OTHER)  # in one cache with the other adapter's
    model.clear()
    answer, read = model.run(*SYSTEM)
    assert (answer, read) == (alone(fresh, *SYSTEM), len(SYSTEM))


def test_what_followed_dropped_tokens_is_read_again(model: Model) -> None:
    """A full cache loses its oldest tokens, which the later ones were evaluated with."""
    for _ in range(4):
        model.run(*(7,) * 50, limit=1)
    model.clear()
    assert model.run(*(7,) * 20)[1] == 20


def test_what_followed_a_gap_is_read_again(model: Model) -> None:
    """Ranges can be cut out of the cache while a run is paused."""
    source = tokens(*SYSTEM, *QUESTION)
    infer = {"keep_history": 0, "max_new_tokens": 4}
    model.call("rkllm_run", source, infer, on_results=lambda _: model.runtime.pause())
    model.call("rkllm_clear_kv_cache", 0, [1], [2])
    model.run(*OTHER)
    model.clear()
    prompt = (SYSTEM[0], *SYSTEM[2:], *QUESTION)
    assert model.run(*prompt)[1] == len(prompt) - 1


def test_a_beginning_in_the_system_slot_counts_as_well(model: Model) -> None:
    """Whatever the parts of a prompt are called, its tokens are compared."""
    model.call("rkllm_set_chat_template", "Be brief. ", "Q: ", "A: ")
    text = {"prompt_input": "What is a list?"}
    first, whole = model.perform(text)
    model.call("rkllm_set_chat_template", "Be brief. ", "Q: ", "A: ")
    assert model.perform(text) == (first, 1)
    assert whole > 5


IDS = st.lists(st.sampled_from([7, 8, 9]), min_size=1, max_size=8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), IDS, st.sampled_from([0, 1, 1]), st.sampled_from(["", "own"])),
        st.tuples(st.sampled_from(["clear", "clear but system", "slots", "rows", "load"])),
    ),
    max_size=10,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, prompt=IDS, adapter=st.sampled_from(["", "own"]))
def test_whatever_was_before_an_answer_is_that_of_a_prompt_read_whole(
    model: Model,
    fresh: Model,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[Any],
    prompt: list[int],
    adapter: str,
) -> None:
    saved = tmp_path_factory.getbasetemp() / "saved"
    for step in steps:
        play(model, step, saved)
    model.clear()
    more = named(adapter)
    assert model.run(*prompt, limit=4, **more)[0] == alone(fresh, *prompt, limit=4, **more)


def named(adapter: str) -> dict[str, Any]:
    return {"lora_params": {"lora_adapter_name": adapter}} if adapter else {}


def play(model: Model, step: Any, saved: Path) -> None:
    """Do something that may change what the cache holds."""
    what, *facts = step
    if what == "run":
        ids, keep, adapter = facts
        model.run(*ids, keep=keep, limit=4, **named(adapter))
    elif what == "clear":
        model.clear()
    elif what == "clear but system":
        model.clear(1)
    elif what == "slots":
        model.call("rkllm_set_chat_template", "a b", "c ", " d")
        model.perform({"prompt_input": "What?"}, limit=2)
    elif what == "rows":
        model.run(7, 8, 9, mode="RKLLM_INFER_GET_LOGITS")
    else:
        saving = {"save_prompt_cache": 1, "prompt_cache_path": str(saved)}
        model.run(7, 7, 8, prompt_cache_params=saving)
        model.call("rkllm_load_prompt_cache", str(saved))
        model.run(7, 7, 9)
        model.call("rkllm_release_prompt_cache")
