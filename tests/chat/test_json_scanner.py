"""The scanner accepts valid JSON only, and stops at the first wrong character."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat.json_scanner import MAX_DEPTH, Expect, JSONScanner, NotJSONError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def accepts(text: str) -> bool:
    """Tell whether the text is one complete array or object."""
    scanner = JSONScanner()
    try:
        for character in text:
            scanner.feed(character)
    except NotJSONError:
        return False
    return scanner.expect is Expect.NOTHING


@settings(deadline=None)
@given(st.lists(JSON, max_size=3) | st.dictionaries(st.text(), JSON), st.sampled_from([None, 1]))
def test_json_is_taken(value: object, indent: int | None) -> None:
    assert accepts(json.dumps(value, indent=indent))
    assert accepts(json.dumps(value, ensure_ascii=False))


@settings(deadline=None)
@given(st.text('{}[]",:0-1.eE+ntrufals \\x\n', max_size=12).map(lambda text: f"[{text}"))
@example("[01]")
@example("[1.]")
@example("[-]")
@example("[tru]")
@example('["\\x"]')
@example('["\\u12g4"]')
@example("[1,]")
@example("{,}")
@example('{"a" 1}')
@example("[1}")
@example("[\x001]")
def test_what_is_no_json_is_not(text: str) -> None:
    if text.lstrip()[:1] not in ("{", "["):
        return  # the end of a top-level number cannot be recognised
    try:
        json.loads(text)
        is_json = True
    except ValueError:
        is_json = False
    assert accepts(text) == is_json


def test_depth_is_bounded() -> None:
    assert accepts("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert not accepts("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize(("text", "at"), [('{"a": tru, ', 9), ("{'a'", 1), ('{"a": 1}x', 8)])
def test_the_first_wrong_character_is_refused(text: str, at: int) -> None:
    scanner = JSONScanner()
    for character in text[:at]:
        scanner.feed(character)
    with pytest.raises(NotJSONError):
        scanner.feed(text[at])
