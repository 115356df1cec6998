"""An adapter that llama.cpp accepts is tried: skipped where no libllama is installed."""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon

from rkllm_twisted.cpu import libllama

#: Its make_tiny_gguf makes small models, and adapters for them.
MAKERS = Path(__file__).parents[2] / "cpu_runtime" / "tests"

pytestmark = pytest.mark.skipif(
    libllama.find(os.environ) is None,
    reason="no libllama is installed: `rkllm llama install` fetches one",
)


def test_an_adapter_that_changes_nothing_is_refused(
    start: Callable[..., Daemon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release of llama.cpp computes as if no adapter were there, which nobody would notice."""
    monkeypatch.syspath_prepend(str(MAKERS))
    makes = importlib.import_module("make_tiny_gguf")
    some = makes.adapter_tensors(random.Random(0), 2, 3)
    zeros = [(*description, bytes(len(data))) for *description, data in some]
    model, path = tmp_path / "model.gguf", tmp_path / "adapter.gguf"
    model.write_bytes(makes.make_model())
    path.write_bytes(makes.gguf(makes.adapter_keys(6.0), zeros))
    daemon = start(library="llama")
    daemon.load(model, max_context_len=128)
    adapter = {"lora_adapter_path": str(path), "lora_adapter_name": "zeros", "scale": 1.0}
    with daemon.connect() as client:
        answer = client.ask("rkllm.load_lora", [adapter])
    assert "the adapter changes nothing: it is empty, or" in answer["error"]["message"]
