"""``--history`` decides which clients share a conversation; the model has a real memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, RawClient
from endtoend.test_startup import refusal

from rkllm_twisted.cpu import demo_model

Start = Callable[..., Daemon]
ABIS = ["1.2.0", "1.2.1", "1.3.0"]


def say(client: RawClient, prompt: str) -> str:
    """Run with keep_history and return the text."""
    params = {
        "rkllm_input": {"input_type": "RKLLM_INPUT_PROMPT", "prompt_input": prompt},
        "rkllm_infer_params": {"mode": 0, "keep_history": 1},
    }
    text = client.ask("rkllm.run", params)["result"]["text"]
    assert isinstance(text, str)
    return text


def loaded(start: Start, abi: str, history: str) -> Daemon:
    """Start a daemon with the bundled model, with greedy sampling."""
    daemon = start(f"--abi={abi}", f"--history={history}")
    daemon.load(demo_model(), top_k=1, max_context_len=512, max_new_tokens=64)
    return daemon


@pytest.mark.parametrize("abi", ABIS)
def test_a_fact_told_on_one_connection_never_shows_up_on_another(start: Start, abi: str) -> None:
    """The other client asks twice: at once, and after the first client has run again."""
    daemon = loaded(start, abi, "connection")
    with daemon.connect() as anna, daemon.connect() as other:
        for _ in range(2):
            say(anna, "My name is Anna.")
            assert "Anna" not in say(other, "What is my name?")


@pytest.mark.parametrize("abi", ABIS)
def test_ones_own_history_survives_while_nobody_else_runs(start: Start, abi: str) -> None:
    """Other clients may connect, ask for the status and leave; only their runs end the history."""
    daemon = loaded(start, abi, "connection")
    with daemon.connect() as anna, daemon.connect() as other:
        say(anna, "My name is Anna.")
        assert other.ask("rkllm.is_running")["result"]["is_running"] is False
        assert "Anna" in say(anna, "What is my name?")
        say(other, "What is a list?")
        assert "Anna" not in say(anna, "What is my name?")


def test_a_shared_history_is_everybodys(start: Start) -> None:
    """The library behaves like this by default."""
    daemon = loaded(start, "1.2.1", "shared")
    with daemon.connect() as anna, daemon.connect() as other:
        say(anna, "My name is Anna.")
        assert "Anna" in say(other, "What is my name?")


def test_a_release_that_cannot_clear_its_cache_refuses_to_start(tmp_path: Path) -> None:
    """The error is one sentence that names the option; the daemon does not listen."""
    said = refusal(
        tmp_path, "--library=cpu", "--abi=1.1.4", "--history=connection", "--socket=sock"
    )
    assert said.startswith("twistd rkllm: --history connection needs")
    assert "1.2.0" in said
    assert not (tmp_path / "sock").exists()
