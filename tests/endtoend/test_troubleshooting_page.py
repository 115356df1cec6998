"""docs/troubleshooting.md quotes the code's messages and has a remedy for each error code."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import rkllm_twisted
from rkllm_twisted.board.checks import CHECKS
from rkllm_twisted.board.http_checks import HTTP_CHECKS
from rkllm_twisted.errors import BY_CODE

DOCS = Path(__file__).parents[2] / "docs"
PACKAGE = Path(rkllm_twisted.__file__).parent


def page_module() -> ModuleType:
    """Import docs/troubleshooting_page.py as a module."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location(
            "troubleshooting_page", DOCS / "troubleshooting_page.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


PAGE = page_module()


def texts_of_the_code() -> Iterator[str]:
    """Yield every string in the package; adjacent literals count as one."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


TEXTS = list(texts_of_the_code())
#: Options and methods may be quoted as well.
OTHER = re.compile(r"--[\w-]+|rkllm[. ][\w. ]+|\w+_\w+")
QUOTES = [
    quote
    for symptoms in PAGE.SYMPTOMS.values()
    for symptom in symptoms
    for quote in re.findall("`([^`]+)`", symptom.seen)
    if not OTHER.fullmatch(quote)
]


@pytest.mark.parametrize("quote", QUOTES)
def test_a_message_on_the_page_stands_in_the_code(quote: str) -> None:
    """The wording is identical."""
    assert any(quote in text for text in TEXTS)


def test_each_code_has_a_remedy() -> None:
    """Each remedy belongs to an error code."""
    assert set(PAGE.REMEDIES) == set(BY_CODE)


def test_each_check_of_doctor_is_explained() -> None:
    """The page has the first line of its docstring."""
    text = (DOCS / "troubleshooting.md").read_text()
    for name in (*CHECKS, *HTTP_CHECKS):
        assert re.search(rf"^\| `{name}` \| \w.*\. \|$", text, re.MULTILINE), name


def test_many_messages_are_quoted() -> None:
    """Otherwise the test above would check little."""
    assert len(QUOTES) > 12
