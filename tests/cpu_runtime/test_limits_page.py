"""The pages' lists of what is refused are made of the tables that refuse."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def engine_limits() -> Iterator[ModuleType]:
    """The module that makes the tables."""
    sys.path.insert(0, str(DOCS))
    import engine_limits

    yield engine_limits
    sys.path.remove(str(DOCS))


@pytest.mark.parametrize("page", ["real-models.md", "../cpu_runtime/README.md"])
def test_a_page_has_the_tables_as_they_are(engine_limits: ModuleType, page: str) -> None:
    """Making it anew changes nothing."""
    path = DOCS / page
    assert engine_limits.page(path) == path.read_text()


def test_the_libraries_say_what_each_engine_refuses(engine_limits: ModuleType) -> None:
    """Both libraries are asked, with or without a libllama."""
    limits = engine_limits.engine_limits()
    assert set(limits) == {"tiny", "llama", "scripted"}
    assert "batch" in limits["tiny"]


def test_a_limit_without_words_is_an_error(engine_limits: ModuleType) -> None:
    """A new limit in C is not left out of the pages."""
    with pytest.raises(KeyError, match="no words for .'holograms'."):
        engine_limits.limits_table({"tiny": ["holograms"]})


def test_a_mark_that_is_not_closed_is_an_error(engine_limits: ModuleType, tmp_path: Path) -> None:
    """The rest of the page is not overwritten."""
    page = tmp_path / "page.md"
    page.write_text("<!-- limits: made by docs/generate.py -->\nand so on\n")
    with pytest.raises(ValueError, match="lacks <!-- end of limits -->"):
        engine_limits.page(page)
