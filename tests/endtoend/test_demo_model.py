"""The bundled model generates real answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from daemons import Daemon

from rkllm_twisted.cpu import demo_model

Start = Callable[..., Daemon]


@pytest.fixture(params=["1.2.1", "1.3.0"])
def daemon(request: pytest.FixtureRequest, start: Start) -> Daemon:
    """Start a daemon with the bundled model, with greedy sampling."""
    daemon = start(f"--abi={request.param}")
    daemon.load(demo_model(), top_k=1, max_context_len=512, max_new_tokens=64)
    return daemon


def params(prompt: str, keep_history: int = 0) -> dict[str, object]:
    """Make the parameters of a run, by name."""
    return {
        "rkllm_input": {"role": "user", "input_type": "RKLLM_INPUT_PROMPT", "prompt_input": prompt},
        "rkllm_infer_params": {"mode": 0, "keep_history": keep_history},
    }


def test_a_question_gets_an_answer_token_by_token(daemon: Daemon) -> None:
    """Words are streamed, the run stops by itself, and the figures are included."""
    with daemon.connect() as client:
        answers = client.stream("rkllm.run_async", params("What is a module?"))
        again = client.ask("rkllm.run", params("What is a module?"))
    results = [answer["result"] for answer in answers]
    text = "".join(result["text"] or "" for result in results if result["_callback_state"] == 0)
    assert len(text.split()) > 4
    assert results[-1]["_callback_state"] == 2
    perf = results[-1]["perf"]
    assert perf["prefill_tokens"] > 4
    assert 4 < perf["generate_tokens"] < 64
    assert perf["generate_time_ms"] > 0
    assert perf["memory_usage_mb"] > 1
    assert again["result"]["text"] == text, "greedy, and without history"


def test_history_is_kept_when_asked(daemon: Daemon) -> None:
    """The next run knows a name from the run before; without history it does not."""
    with daemon.connect() as client:
        client.ask("rkllm.run", params("My name is Anna.", keep_history=1))
        kept = client.ask("rkllm.run", params("What is my name?", keep_history=1))
        client.ask("rkllm.destroy")
    daemon.load(demo_model(), top_k=1, max_context_len=512, max_new_tokens=64)
    with daemon.connect() as client:
        client.ask("rkllm.run", params("My name is Anna.", keep_history=0))
        dropped = client.ask("rkllm.run", params("What is my name?", keep_history=0))
    assert "Anna" in kept["result"]["text"]
    assert "Anna" not in dropped["result"]["text"]
