"""Other people's libraries for Ollama's, Anthropic's and OpenAI's API, against the HTTP service.

Each runs in a small client program, which prints what the library hands to its user. With the fake
daemon they try all that they can, with the embedded engine one conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web_libraries import Served, engine_served, fake_served, installed

#: The client programs, and their libraries.
PYTHON = {
    "ollama_python.py": "ollama >= 0.6",
    "anthropic_python.py": "anthropic >= 0.80",
    "openai_responses.py": "openai >= 2.0",
    "langchain_ollama_chat.py": "langchain-ollama >= 1.0",
}
NODE = "ollama_js.js"
Seen = Callable[[Served, str], Any]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python libraries, installed together."""
    return installed(tmp_path_factory.mktemp("libraries"), *PYTHON.values())


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with fake_served(tmp_path_factory.mktemp("fake")) as served:
        yield served


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with engine_served(tmp_path_factory.mktemp("engine")) as served:
        yield served


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest) -> Seen:
    """What a program prints; each runs once with each service."""
    known: dict[tuple[Served, str], Any] = {}

    def run(served: Served, program: str) -> Any:
        if (served, program) not in known:
            name = "node_modules" if program == NODE else "libraries"
            known[served, program] = served.seen_by(program, request.getfixturevalue(name))
        return known[served, program]

    return run


@pytest.mark.parametrize("program", [*PYTHON, NODE])
def test_a_library_reads_an_answer_whole_and_in_pieces(
    fake: Served, seen: Seen, program: str
) -> None:
    found = seen(fake, program)
    assert found["chat"] == fake.answer
    assert "".join(found["stream"]) == fake.answer
    assert len(found["stream"]) > 2
    assert found["count"] == 4


@pytest.mark.parametrize("program", [*PYTHON, NODE])
def test_a_library_reads_the_engines_answer(engine: Served, seen: Seen, program: str) -> None:
    found = seen(engine, program)
    assert found["chat"] == engine.answer
    assert "".join(found["stream"]) == engine.answer


@pytest.mark.parametrize("program", PYTHON)
def test_a_library_reads_a_call_and_sends_its_result(
    fake: Served, seen: Seen, program: str
) -> None:
    found = seen(fake, program)
    assert found["tool"] == ["look", {"place": "Köln"}]
    assert found["after"] == "It is sunny."


@pytest.mark.parametrize("program", ["ollama_python.py", NODE])
def test_ollamas_libraries_read_lists_and_errors(fake: Served, seen: Seen, program: str) -> None:
    found = seen(fake, program)
    assert found["models"] == ["able:latest", "small:latest"]
    assert found["loaded"] == ["small:latest"]
    assert found["generate"] == fake.answer
    assert found["pull"] == "success"
    status, text = found["missing"]
    assert (status, "'missing' not found" in text) == (404, True)


def test_a_library_of_ollamas_hears_what_a_model_cannot_do(fake: Served, seen: Seen) -> None:
    found = seen(fake, "ollama_python.py")
    assert found["capabilities"] == ["completion", "tools"]
    assert found["unable"] == [400, '"small" does not support tools']


@pytest.mark.parametrize("program", ["ollama_python.py", "langchain_ollama_chat.py"])
def test_a_library_reads_the_engines_embeddings(engine: Served, seen: Seen, program: str) -> None:
    first, second = seen(engine, program)["embed"]
    assert first == second > 0


def test_the_anthropic_library_reads_errors(fake: Served, seen: Seen) -> None:
    found = seen(fake, "anthropic_python.py")
    assert found["reason"] == "end_turn"
    assert found["missing"] == [404, "not_found_error"]
    assert "tokenizer.json" in found["uncounted"]


def test_openais_library_hears_that_responses_are_not_stored(fake: Served, seen: Seen) -> None:
    found = seen(fake, "openai_responses.py")
    assert found["reason"] == "completed"
    assert found["missing"] == [404, "model_not_found"]
    assert found["stateless"] == "previous_response_id"
