"""LiteLLM against the HTTP service, apart from the other libraries because it is large."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_cases import CASES
from web_libraries import ANSWER, ENGINES_ANSWER, Served, installed, served
from web_pages import PageReader

PROGRAM = "litellm_python.py"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("litellm"), "litellm >= 1.80")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def seen(service: Served, library: Path) -> Any:
    """What the program prints."""
    return service.seen_by(PROGRAM, library)


@pytest.mark.parametrize("case", CASES)
def test_litellm_sees_what_it_should(seen: Any, case: str) -> None:
    assert CASES[case](seen[case]), seen[case]


def test_litellm_speaks_ollamas_api_too(seen: Any) -> None:
    assert seen["ollama"] == ANSWER


def test_the_pages_configuration_and_program_work(
    service: Served, library: Path, tmp_path: Path
) -> None:
    """The proxy hands the file's list of models to a router, as the program does."""
    printed = PageReader(tmp_path, service.open_address, library).read(
        "litellm.md", "yaml", "python"
    )
    assert printed in ("", f"{ENGINES_ANSWER}\n")
