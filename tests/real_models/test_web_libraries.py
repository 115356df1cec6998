"""Other people's libraries ask a real model through the HTTP service.

Skipped where no libllama and no model are installed: `make real-models` fetches them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from web_libraries import installed, printed
from web_service import WebService

from rkllm_twisted.cpu import libllama
from rkllm_twisted.cpu.packages import MODELS, cache_folder

SMOLLM2 = cache_folder() / Path(MODELS["smollm2"].member).name
PROGRAMS = ("capital_openai.py", "capital_ollama.py")
QUESTION = "What is the capital of France?"

pytestmark = pytest.mark.skipif(
    libllama.find(os.environ) is None or not SMOLLM2.is_file(),
    reason="no libllama or no SmolLM2 is installed: `make real-models` fetches them",
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What each program prints; the likeliest token is taken each time."""
    libraries = installed(tmp_path_factory.mktemp("libraries"), "openai >= 2.0", "ollama >= 0.6")
    directory = tmp_path_factory.mktemp("served")
    settings = ("top_k=1", "max_context_len=1024")
    params = [f"--model-param={setting}" for setting in settings]
    daemon = Daemon(directory, f"--model={SMOLLM2}", *params, library="llama")
    try:
        service = WebService(directory, daemon.path)
        try:
            asked = [service.address.rstrip("/"), SMOLLM2.stem, QUESTION]
            yield {program: printed(program, asked, libraries) for program in PROGRAMS}
        finally:
            service.stop()
    finally:
        daemon.stop()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_library_hears_the_capital(seen: dict[str, Any], program: str) -> None:
    assert "Paris" in seen[program]["whole"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_stream_has_the_same_text_in_pieces(seen: dict[str, Any], program: str) -> None:
    pieces = seen[program]["pieces"]
    assert "".join(pieces) == seen[program]["whole"]
    assert len(pieces) > 3


def test_the_counts_of_tokens_are_equal(seen: dict[str, Any]) -> None:
    """Whole or streamed, by OpenAI's API or by Ollama's."""
    counts = [tuple(pair) for program in PROGRAMS for pair in seen[program]["counts"]]
    assert len(set(counts)) == 1, counts
    read, made = counts[0]
    assert read > 5
    assert 3 < made <= 48
