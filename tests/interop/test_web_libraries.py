"""Other people's libraries for OpenAI's, Ollama's and Anthropic's API, against the HTTP service.

Each client program tries all that its library can do and prints what the library hands to its user,
once for all tests.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web_cases import CASES, is_refused
from web_libraries import ANSWER, Served, installed, served
from web_pages import PageReader

#: The client programs in Python, and their libraries.
PYTHON = {
    "openai_python.py": "openai >= 2.0",
    "openai_responses.py": "openai >= 2.0",
    "langchain_openai_chat.py": "langchain-openai >= 1.0",
    "ollama_python.py": "ollama >= 0.6",
    "langchain_ollama_chat.py": "langchain-ollama >= 1.0",
    "anthropic_python.py": "anthropic >= 0.80",
}
NODE = ("openai_node.js", "ollama_js.js")
CURL = "curl_commands.py"
PROGRAMS = (*PYTHON, *NODE, CURL)


#: Why a case is missing for a program.
LACKING = {
    ("anthropic_python.py", "embeddings"): "Anthropic's API has none",
    ("anthropic_python.py", "json"): "it tries what is ignored of output_config, see below",
    ("openai_responses.py", "embeddings"): "they are no part of the responses API",
}
TRIED = [(name, case) for name in PROGRAMS for case in CASES if (name, case) not in LACKING]
Seen = Callable[[str], Any]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python libraries, installed together."""
    return installed(tmp_path_factory.mktemp("libraries"), *sorted(set(PYTHON.values())))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest, service: Served) -> Seen:
    """What a program prints; each runs once."""
    known: dict[str, Any] = {}

    def run(program: str) -> Any:
        if program not in known:
            if program == CURL and shutil.which("curl") is None:
                pytest.skip("curl is not installed, so it is not tried")
            name = "libraries" if program in PYTHON else "node_modules"
            libraries = None if program == CURL else request.getfixturevalue(name)
            known[program] = service.seen_by(program, libraries)
        return known[program]

    return run


@pytest.mark.parametrize(("program", "case"), TRIED)
def test_a_library_sees_what_it_should(seen: Seen, program: str, case: str) -> None:
    found = seen(program)[case]
    assert CASES[case](found), found


@pytest.mark.parametrize("program", ["ollama_python.py", "ollama_js.js"])
def test_ollamas_libraries_read_lists(seen: Seen, program: str) -> None:
    found = seen(program)
    names = ["able:latest", "small:latest", "tiny-pydocs-q8_0:latest", "vectors:latest"]
    assert sorted(found["models"]) == names
    assert "small:latest" in found["loaded"]
    assert found["generate"] == ANSWER
    assert found["pull"] == "success"


@pytest.mark.parametrize("program", ["openai_python.py", "openai_node.js"])
def test_openais_libraries_read_the_list(seen: Seen, program: str) -> None:
    assert sorted(seen(program)["models"]) == ["able", "small", "tiny-pydocs-q8_0", "vectors"]


def test_a_library_of_ollamas_hears_what_a_model_cannot_do(seen: Seen) -> None:
    found = seen("ollama_python.py")
    assert found["capabilities"] == ["completion", "tools"]
    assert is_refused(400, '"small" does not support tools')(found["unable"])


def test_the_anthropic_library_hears_what_is_ignored_and_refused(seen: Seen) -> None:
    found = seen("anthropic_python.py")
    assert found["reason"] == "end_turn"
    assert found["ignored"] == "output_config.effort"
    assert is_refused(400, "no chat template")(found["uncounted"])


def test_openais_library_hears_that_responses_are_not_stored(seen: Seen) -> None:
    found = seen("openai_responses.py")
    assert found["status"] == "completed"
    assert is_refused(400, "previous_response_id")(found["stateless"])


def test_a_stream_for_curl_ends_with_its_mark(seen: Seen) -> None:
    assert seen(CURL)["done"] == "[DONE]"


@pytest.mark.parametrize("page", ["openai.md", "ollama.md", "langchain.md"])
def test_a_pages_python_programs_answer_as_shown(
    service: Served, libraries: Path, tmp_path: Path, page: str
) -> None:
    printed = PageReader(tmp_path, service.open_address, libraries).read(page, "python", "sh")
    assert page == "langchain.md" or "tiny-pydocs-q8_0" in printed


@pytest.mark.parametrize("page", ["openai.md", "ollama.md"])
def test_a_pages_javascript_answers_as_shown(
    service: Served, node_modules: Path, tmp_path: Path, page: str
) -> None:
    PageReader(tmp_path, service.open_address, node_modules).read(page, "js")


def test_the_commands_of_curls_page_answer_as_shown(service: Served, tmp_path: Path) -> None:
    for program in ("curl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, so the page is not tried")
    printed = PageReader(tmp_path, service.open_address, None).read("curl.md", "sh")
    assert "tiny-pydocs-q8_0" in printed.split()


def test_continues_command_reads_the_pages_file(
    service: Served, node_modules: Path, tmp_path: Path
) -> None:
    """The fake daemon's answer to what it does not know; Continue's own prompt is long."""
    model = ("Qwen2.5-Coder-1.5B", "small")
    reader = PageReader(tmp_path, service.open_address, node_modules, model)
    assert "Hello world" in reader.read("continue.md", "yaml", "sh")
