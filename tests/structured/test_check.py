"""A text is checked while it comes."""

from __future__ import annotations

import pytest

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.structured.check import FormCheck
from rkllm_twisted.structured.form import Form
from rkllm_twisted.structured.llguidance_engine import llguidance_engine

TOKENS = llguidance_engine.tokens(byte_table())
FORM = Form("schema", '{"type": "object", "properties": {"a": {}}, "required": ["a"]}', "x", True)


def checked(text: str, size: int = 1, fenced: bool = True) -> FormCheck:
    check = FormCheck(llguidance_engine.constrain(TOKENS, FORM), fenced=fenced)
    for at in range(0, len(text), size):
        check.feed(text[at : at + size])
    return check


GOOD = [
    '{"a": 1}',
    ' \n{"a" : "ä😀"}',
    '```json\n{"a": 1}\n```\nThat is it.',
    '```\n{"a": 1}```',
    '{"a": 1} is the answer',
]


@pytest.mark.parametrize("size", [1, 2, 3, 99])
@pytest.mark.parametrize("text", GOOD)
def test_a_whole_answer_fits(text: str, size: int) -> None:
    check = checked(text, size)
    assert check.fits
    assert check.is_over
    assert check.text == text[text.index("{") : text.index("}") + 1]


@pytest.mark.parametrize("size", [1, 99])
@pytest.mark.parametrize(
    ("text", "read"),
    [("Sure!", ""), ('{"a"]', '{"a"'), ('{"a": 1, "a": }', '{"a": 1, '), ("[1]", "")],
)
def test_the_first_violation_ends_it(text: str, read: str, size: int) -> None:
    check = checked(text, size)
    assert not check.fits
    assert check.is_over
    assert check.text.startswith(read)


@pytest.mark.parametrize("text", ["", "  ", "``", "```json", "```json\n", '{"a": '])
def test_what_may_still_come_is_waited_for(text: str) -> None:
    check = checked(text)
    assert not check.fits
    assert not check.is_over


@pytest.mark.parametrize(("text", "read"), [(" ab", " ab"), ("\n ab", " ab"), ("ab", "")])
def test_white_space_that_belongs_to_the_form_is_kept(text: str, read: str) -> None:
    form = Form("choices", '[" ab", " abc"]', "x")
    check = FormCheck(llguidance_engine.constrain(TOKENS, form))
    check.feed(text)
    assert check.text == read
    assert check.fits == bool(read)


def test_a_fence_is_read_in_json_only() -> None:
    assert checked("```x", fenced=False).is_over
