"""Answers by JSON schemas, of a model that wants an instance and of one that knows nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_cases import pairs, rows
from schema_facts import FAMILIES

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.structured.form import Form, form_of
from rkllm_twisted.structured.llguidance_engine import llguidance_engine
from rkllm_twisted.structured.loop import StructuredAnswer, StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import SamplingSettings

TABLE = byte_table()
TOKENS = llguidance_engine.tokens(TABLE)
#: Python has no year 0, which RFC 3339 has, so dates are checked by their pattern only.
FORMATS = jsonschema.FormatChecker(("ipv4", "email", "uuid"))
FACTS = [row for family in FAMILIES for row in family()]
PAIRS = [*pairs(rows()), *pairs(FACTS)]
#: What ends an answer soon, the likeliest first.
CLOSING = (256, *b'"}]0e')


class Wishing:
    """Rows that prefer a text, and behind its end, or where it is not allowed, a soon end."""

    def __init__(self, wish: bytes) -> None:
        self._wish, self._said, self._has_begun = wish, b"", False

    def row(self, tokens: Sequence[int]) -> Any:
        self._said += bytes(tokens if self._has_begun else tokens[1:])
        self._has_begun = True
        row = np.zeros(257, np.float32)
        for at, token in enumerate(CLOSING):
            row[token] = 0.5 - at / 100
        if self._wish.startswith(self._said) and len(self._said) < len(self._wish):
            row[self._wish[len(self._said)]] = 1
        return row


def random_rows(seed: int) -> Any:
    numbers = np.random.default_rng(seed)
    return lambda _: numbers.random(257, np.float32)


def answer(form: Form, read_row: Any, limit: int = 400) -> StructuredAnswer:
    constraint = llguidance_engine.constrain(TOKENS, form)
    picker = Picker(SamplingSettings(), 1)
    loop = StructuredLoop(TABLE, constraint, picker, read_row, (65,), (65,), limit, lambda _: False)
    return loop.run()


def check(schema: Any, made: StructuredAnswer) -> Any:
    value = json.loads(made.text)
    jsonschema.Draft202012Validator(schema, format_checker=FORMATS).validate(value)
    return value


def test_there_are_a_thousand_pairs() -> None:
    assert len(PAIRS) >= 1000


@pytest.mark.parametrize("start", range(0, len(PAIRS), 50))
def test_a_wish_that_fits_is_granted_and_another_becomes_what_fits(start: int) -> None:
    for schema, instance, is_valid in PAIRS[start : start + 50]:
        validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
        assert validator.is_valid(instance) == is_valid, (schema, instance)
        wish = json.dumps(instance, separators=(",", ":"), ensure_ascii=False).encode()
        made = answer(form_of("schema", schema), Wishing(wish).row)
        if is_valid:
            assert made.reason == "stop", (schema, instance, made.text)
            assert check(schema, made) == instance, (schema, instance, made.text)
        elif made.reason == "stop":
            check(schema, made)
        else:
            assert made.reason == "length"


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_knows_nothing_keeps_to_the_schema_or_reaches_the_limit(seed: int) -> None:
    ended = 0
    every = [*rows(), *FACTS]
    for number, (schema, _, _) in enumerate(every):
        made = answer(form_of("schema", schema), random_rows(1000 * seed + number), 300)
        if made.reason == "stop":
            check(schema, made)
            ended += 1
    assert ended > len(every) / 2


LEAVES = st.sampled_from(
    [
        {"type": "integer", "minimum": -9, "maximum": 99},
        {"type": "string", "maxLength": 5},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["a", 1, None, [2]]},
        {"type": "string", "pattern": "^[a-z]{2,4}$"},
        {"type": "number", "minimum": 0, "maximum": 1},
    ]
)


def deeper(inner: Any) -> Any:
    names = st.lists(st.text("abcäß_", min_size=1, max_size=3), min_size=1, max_size=3, unique=True)
    objects = st.builds(
        lambda keys, schemas, required: {
            "type": "object",
            "properties": dict(zip(keys, schemas, strict=False)),
            "required": [key for key, _ in zip(keys, schemas, strict=False)][:required],
            "additionalProperties": False,
        },
        names,
        st.lists(inner, min_size=3, max_size=3),
        st.integers(0, 3),
    )
    lists = st.builds(
        lambda schema, low, more: {
            "type": "array",
            "items": schema,
            "minItems": low,
            "maxItems": low + more,
        },
        inner,
        st.integers(0, 2),
        st.integers(0, 2),
    )
    either = st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3))
    return st.one_of(objects, lists, either)


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, deeper, max_leaves=6), st.integers(0, 2**32))
def test_made_up_schemas_are_kept_to(schema: Any, seed: int) -> None:
    made = answer(form_of("schema", schema), random_rows(seed), 2000)
    if made.reason == "stop":
        check(schema, made)


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"\A\[[a-d]+\]\{1,3\}(x|y\?)\Z"), st.integers(0, 2**32))
def test_made_up_patterns_are_kept_to(pattern: str, seed: int) -> None:
    made = answer(form_of("regex", pattern), random_rows(seed))
    assert re.fullmatch(pattern, made.text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5), st.integers(0, 2**32))
def test_made_up_choices_are_kept_to(choices: list[str], seed: int) -> None:
    assert answer(form_of("choices", choices), random_rows(seed)).text in choices


#: Some begin alike, some are equal, some look like marks or escapes.
CHOICES = ["a", "ab", "abc", "a", "\u00e9", "e\u0301", "\U0001f600", "\U0001f601", "\0", "\n", " "]
CHOICES += ['"', "\\", "\\u0041", '"]}', "<|im_end|>", "\u2028", "a | b", "/a/", "# a"]


@pytest.mark.parametrize("wish", CHOICES)
def test_each_of_the_choices_can_be_taken(wish: str) -> None:
    made = answer(form_of("choices", CHOICES), Wishing(wish.encode()).row)
    assert (made.text, made.reason) == (wish, "stop")


@pytest.mark.parametrize(
    ("pattern", "wish"),
    [
        ("^abc$", "abc"),
        ("^a|b$", "b"),
        ("(?i)ab", "AB"),
        ("(?s).", "\n"),
        (r"\p{Lu}\d", "\u00c4\u0663"),
        ("[\U0001f600-\U0001f602]+", "\U0001f601"),
        ("\u00e9{2}", "\u00e9\u00e9"),
        ("a/b[/]//", "a/b///"),
        ("a\nb", "a\nb"),
        ('"#', '"#'),
        (r"\\", "\\"),
        ("a?", ""),
    ],
)
def test_a_pattern_is_that_of_the_whole_answer(pattern: str, wish: str) -> None:
    made = answer(form_of("regex", pattern), Wishing(wish.encode()).row)
    assert (made.text, made.reason) == (wish, "stop")


#: What has no end, and what a model may write of it for ever.
ENDLESS: list[tuple[str, Any, str]] = [
    ("schema", {"type": "number"}, "1" * 99),
    ("schema", {"type": "number", "minimum": 0, "maximum": 1}, "0." + "1" * 99),
    ("schema", {"type": "integer", "minimum": 3}, "9" * 99),
    ("schema", {"type": "string"}, '"' + "a" * 99),
    ("schema", {"type": "array", "items": {"type": "null"}}, "[" + "null," * 20),
    ("schema", {}, "[" * 99),
    ("regex", "a+", "a" * 99),
    ("grammar", 'start: "ab"+', "ab" * 50),
]


@pytest.mark.parametrize(("kind", "value", "wish"), ENDLESS)
def test_a_form_without_an_end_ends_at_the_limit(kind: str, value: Any, wish: str) -> None:
    made = answer(form_of(kind, value), Wishing(wish.encode()).row, 50)
    assert (made.reason, made.text) == ("length", wish[:50])


def test_ten_thousand_values_are_compiled() -> None:
    form = form_of("schema", {"enum": [*range(10_000)]})
    assert answer(form, Wishing(b"9876").row).text == "9876"
