"""A real model through llama.cpp: skipped where no libllama and no model are installed.

`make real-models` fetches both, and runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import Daemon
from one_by_one import one_by_one

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.cpu import LLAMA, libllama
from rkllm_twisted.cpu.packages import MODELS, cache_folder
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.models.settings import read_settings
from rkllm_twisted.runtime.runtime import Runtime, open_runtime
from rkllm_twisted.values import FloatArray

NEWEST = list(releases().values())[-1]
SMOLLM2 = cache_folder() / Path(MODELS["smollm2"].member).name
HAS_LIBLLAMA = libllama.find(os.environ) is not None

pytestmark = pytest.mark.skipif(
    not (HAS_LIBLLAMA and SMOLLM2.is_file()),
    reason="no libllama or no SmolLM2 is installed: `make real-models` fetches them",
)

TURNS = [
    "My name is Ada.", "What is the capital of Italy?", "And of Spain?", "Name three colours.",
    "What is 2+2?", "Is water wet?", "Name a river.", "Name a mountain.", "Thank you.",
    "What is the capital of France?",
]  # fmt: skip


#: Whole questions: after several of two or three words the model repeats its last answer.
CONVERSATION = [
    "Hello! My name is Ada.", "What is the capital of Italy?", "What is it famous for?",
    "Name three fruits.", "Write one sentence about the sea.", "What is 2 + 2?",
    "Explain rain to a child in two sentences.", "What is a list in Python?",
    "What colour is the sky?", "What is the capital of France?",
]  # fmt: skip

#: The likeliest token each time.
GREEDY = {"top_k": 1, "max_context_len": 2048, "repeat_penalty": 1.0, "max_new_tokens": 24}


class Model:
    """SmolLM2 in a runtime."""

    def __init__(self, runtime: Runtime, param: Mapping[str, object]) -> None:
        self.runtime = runtime
        self.call("rkllm_init", param={"model_path": str(SMOLLM2), **param})

    def call(self, function: str, on_result: Any = None, **params: Any) -> Any:
        """Call a function by its parameters' names."""
        return self.runtime.perform(self.runtime.prepare(function, params), one_by_one(on_result))

    def run(self, prompt: str, **infer: Any) -> list[Any]:
        """Every result of a run."""
        results: list[Any] = []
        source = {"prompt_input": prompt}
        self.call("rkllm_run", results.append, rkllm_input=source, rkllm_infer_params=infer)
        return results

    def ask(self, prompt: str, **infer: Any) -> str:
        """The text of a run."""
        return "".join(r["text"] for r in self.run(prompt, **infer) if r["_callback_state"] == 0)

    def logits(self, prompt: str, **infer: Any) -> np.ndarray:
        """The last token's logits."""
        results = self.run(prompt, mode="RKLLM_INFER_GET_LOGITS", **infer)
        (floats,) = [r["logits"]["logits"] for r in results if r["logits"]["logits"] is not None]
        assert isinstance(floats, FloatArray)
        return np.frombuffer(floats.data, "<f4").reshape(floats.shape)[-1]

    def cache_size(self) -> int:
        """Tokens in the cache."""
        (size,) = self.call("rkllm_get_kv_cache_size")["cache_sizes"]
        return int(size)


@pytest.fixture
def model() -> Iterator[Model]:
    """The model on the newest release."""
    runtime = open_runtime(LLAMA, "1.3.0", os.environ)
    yield Model(runtime, GREEDY)
    runtime.close()


def test_the_answer_comes_through_the_socket(start: Callable[..., Daemon]) -> None:
    """The answer passes through llama.cpp, engine, child and daemon."""
    daemon = start(library="llama")
    daemon.load(SMOLLM2, top_k=1)
    with daemon.connect() as client:
        answer = client.ask("rkllm.run", [{"prompt_input": "What is the capital of France?"}])
    assert "Paris" in answer["result"]["text"]


def test_ten_turns_are_one_conversation(model: Model) -> None:
    """The cache grows with each turn, and the last answer still makes sense."""
    sizes, answers = [], []
    for turn in TURNS:
        answers.append(model.ask(turn, keep_history=1))
        sizes.append(model.cache_size())
    assert sizes == sorted(set(sizes))
    assert "Paris" in answers[-1]


def test_ten_turns_with_the_settings_that_the_demonstration_leaves_make_sense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Questions are answered, and no answer is given again to the next question."""
    monkeypatch.setenv("RKLLM_CPU_SEED", "1")
    settings = read_settings("rkllm.toml", MODELS["smollm2"].settings.encode(), layout_of(NEWEST))
    runtime = open_runtime(LLAMA, NEWEST.name, os.environ)
    model = Model(runtime, settings.param)
    answers = {turn: model.ask(turn, keep_history=1) for turn in CONVERSATION}
    runtime.close()
    assert all(answers.values())
    assert len(set(answers.values())) >= len(CONVERSATION) - 1
    assert "Rome" in answers["What is the capital of Italy?"]
    assert "list" in answers["What is a list in Python?"]
    assert "Paris" in answers["What is the capital of France?"]


def test_turns_are_read_as_the_models_own_template_has_them(model: Model) -> None:
    """Turn by turn, the model comes to the same numbers as with the whole text at once."""
    begin, end = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    answer = model.ask("Say one word.", keep_history=1)
    turn_by_turn = model.logits("And another one.")
    before = f"{begin}Say one word.{end}{answer}<|im_end|>\n"
    model.call(
        "rkllm_set_chat_template", system_prompt=before, prompt_prefix=begin, prompt_postfix=end
    )
    at_once = model.logits("And another one.")
    assert np.abs(turn_by_turn - at_once).max() < 0.2  # batches differ, and so does the rounding
    assert turn_by_turn.argmax() == at_once.argmax()


def test_an_abort_ends_the_reading_of_a_prompt(model: Model) -> None:
    """The abort takes effect within the first batch of 512 tokens."""
    prompt = "word " * 1500
    begun = time.monotonic()
    model.logits(prompt[:5000])
    whole = time.monotonic() - begun
    timer = threading.Timer(whole / 20, model.runtime.abort)
    timer.start()
    begun = time.monotonic()
    model.run(prompt)
    timer.join()
    assert time.monotonic() - begun < whole / 2
    assert model.cache_size() == 0


def test_a_context_beyond_the_models_is_refused_with_numbers() -> None:
    """The refusal comes before any memory is allocated."""
    runtime = open_runtime(LLAMA, "1.3.0", os.environ)
    prepared = runtime.prepare(
        "rkllm_init", [{"model_path": str(SMOLLM2), "max_context_len": 100_000}]
    )
    with pytest.raises(RuntimeRefused):
        runtime.perform(prepared)
    runtime.close()


def test_a_saved_prompt_is_read_again(model: Model, tmp_path: Path) -> None:
    """The run with the saved prompt evaluates only the new tokens and gives the same answer."""
    path = str(tmp_path / "prompt.bin")
    save = {"save_prompt_cache": 1, "prompt_cache_path": path}
    first = model.run("What is the capital of France?", prompt_cache_params=save)
    model.call("rkllm_load_prompt_cache", prompt_cache_path=path)
    again = model.run("What is the capital of France?")
    assert [r["text"] for r in again] == [r["text"] for r in first]
    assert again[-1]["perf"]["prefill_tokens"] < first[-1]["perf"]["prefill_tokens"] / 4


def test_the_pages_first_command_answers() -> None:
    """docs/real-models.md opens with it; the model and the library are there already."""
    page = (Path(__file__).parents[2] / "docs" / "real-models.md").read_text()
    command = page.partition("```sh\n")[2].partition("\n")[0]
    assert command == "rkllm demo --model smollm2"
    rkllm = Path(sys.executable).with_name("rkllm")
    done = subprocess.run(
        [rkllm, *command.split()[1:]], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Paris" in done.stdout
