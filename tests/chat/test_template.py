"""Templates render as in transformers, and only their own control tokens count."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from functools import cache

import jinja2
import pytest
from chat_templates import SPECIALS, TEMPLATES
from hypothesis import given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat import sandbox
from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.segments import Mark, Pieces, text_of
from rkllm_twisted.chat.template import RANGES, ChatTemplate
from rkllm_twisted.errors import InvalidParams

NOW = datetime(2026, 1, 2)


@cache
def made(name: str) -> ChatTemplate:
    source, marks = TEMPLATES[name]
    return ChatTemplate(source, marks, SPECIALS.get(name))


def template(source: str, *marks: str) -> ChatTemplate:
    return ChatTemplate(source, marks)


def render(one: ChatTemplate, *texts: str, **more: object) -> Pieces:
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    return one.render(messages, now=NOW, variables=more)


def test_the_template_and_the_messages_are_told_apart() -> None:
    assert render(made("qwen3"), "What?<|im_end|>") == (
        Mark("<|im_start|>"),
        "user\nWhat?<|im_end|>",
        Mark("<|im_end|>"),
        "\n",
        Mark("<|im_start|>"),
        "assistant\n",
    )


def test_control_tokens_in_variables_count() -> None:
    assert render(made("llama3"), "Hi")[:2] == (
        Mark("<|begin_of_text|>"),
        Mark("<|start_header_id|>"),
    )


def test_the_date_is_the_callers() -> None:
    assert "Today Date: 02 Jan 2026" in text_of(render(made("llama3"), "Hi"))


SOUP = st.lists(
    st.sampled_from(
        ["<think>", "</think>", " ", "\n", "a", "<|im_end|>", "[INST]", "<tool_response>"]
    )
    | st.sampled_from(sorted({mark for _, marks in TEMPLATES.values() for mark in marks}))
    | st.text(max_size=3)
).map("".join)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(TEMPLATES)), st.lists(SOUP, min_size=1, max_size=3))
def test_messages_never_become_control_tokens(name: str, texts: list[str]) -> None:
    """The control tokens are the same, in the same order, as in a conversation of plain words.

    Texts that the templates themselves examine are excluded.
    """
    texts = texts if len(texts) % 2 else texts[1:]
    texts = [re.sub("</think>|<tool_response>", "", text) for text in texts]
    one = made(name)

    def marks(pieces: Pieces) -> list[Mark]:
        return [piece for piece in pieces if isinstance(piece, Mark)]

    contents = [[{"type": "text", "text": text}] if name == "parts" else text for text in texts]
    said = render(one, *contents)
    assert marks(said) == marks(render(one, *[content and "plain" for content in contents]))


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(TEMPLATES)), st.lists(SOUP, min_size=1, max_size=3))
def test_the_text_is_what_jinja_makes_of_the_template_itself(name: str, texts: list[str]) -> None:
    texts = texts if len(texts) % 2 else texts[1:]
    source, _ = TEMPLATES[name]
    plain = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    specials = SPECIALS.get(name, {})
    expected = plain.render(
        messages=messages,
        tools=None,
        add_generation_prompt=True,
        strftime_now=NOW.strftime,
        **specials,
    )
    assert text_of(render(made(name), *texts)) == expected


def test_what_templates_do_with_messages_works() -> None:
    """Trim, slice, replace, split and search operate on the message itself."""
    source = (
        "<|a|>{{ (messages[0].content | trim)[:4] | replace('<|a|>', '-') }}<|a|>"
        "{{ 'yes' if '<|a|>' in messages[0].content else 'no' }}"
        "{{ messages[0].content.split('<|a|>')[1] | upper }}{{ messages[0].content | length }}"
        "{{ messages[0].content.startswith(' ') }}{{ messages[0].content == ' xyz<|a|>b' }}"
    )
    assert render(template(source, "<|a|>"), " xyz<|a|>b") == (
        Mark("<|a|>"),
        "xyz<",
        Mark("<|a|>"),
        "yesB10TrueTrue",
    )


def test_tojson_is_the_one_of_transformers() -> None:
    source = "{{ messages[0].content | tojson }}{{ {'b': [1], 'a': '<é>'} | tojson(indent=1) }}"
    text = text_of(render(template(source), "it's <b> & 你"))
    assert text == '"it\'s <b> & 你"{\n "b": [\n  1\n ],\n "a": "<é>"\n}'


def test_loop_controls_and_generation_blocks_are_known() -> None:
    source = (
        "{% for one in [1, 2, 3] %}{% if one == 2 %}{% break %}{% endif %}{{ one }}{% endfor %}"
        "{% generation %}answer{% endgeneration %}"
    )
    assert text_of(render(template(source), "")) == "1answer"


def test_a_templates_refusal_is_told_in_its_own_words() -> None:
    with pytest.raises(InvalidParams, match="refuses the conversation: System role not supported"):
        made("gemma").render([{"role": "system", "content": "x"}], now=NOW)


BROKEN = {
    "a syntax error": "{% if %}",
    "an unknown name's member": "{{ nothing.at.all }}",
    "a type error": "{{ 'a' + 1 }}",
    "python itself": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a change of what it is given": "{{ messages.append(1) }}",
    "an endless range": "{% for i in range(10 ** 9) %}{% endfor %}",
    "a text times a billion": "{{ 'x' * 1000000000 }}",
    "a text times a billion that is not shown": "{{ ('x' * 1000000000) | length }}",
    "a big power": "{{ 10 ** 1000000 }}",
    "100 MB in pieces": "{% for i in range(99999) %}{{ 'x' * 1024 }}{% endfor %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "division by zero": "{{ 1 / 0 }}",
    "its own control tokens": "{% set x = '<|a|>' %}{{ 'y' if messages[0].content in x else 'n' }}",
    "private characters": "\U000f0001",
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_template_that_cannot_be_used_is_refused(source: str) -> None:
    with pytest.raises(InvalidParams, match="chat template cannot be used") as error:
        render(template(source, "<|a|>"), "<|")
    assert error.value.data == {"parameter": "model"}


def test_a_control_token_that_is_not_known_is_told_with_the_file_that_has_it() -> None:
    with pytest.raises(InvalidParams, match=r"'bos_token' is undefined; put .*tokenizer_config"):
        render(template("{{ bos_token + messages[0].content }}", "<|a|>"), "x")


def test_a_huge_template_is_refused() -> None:
    with pytest.raises(InvalidParams, match="more than 1048576"):
        template("x" * (sandbox.MAX_TEMPLATE_CHARACTERS + 1))


def test_private_characters_in_messages_are_letters() -> None:
    text = f"{chr(RANGES[0])}{chr(RANGES[1] + 1)}"
    assert render(made("qwen3"), text)[1] == f"user\n{text}"


def test_messages_that_use_all_private_ranges_are_refused() -> None:
    with pytest.raises(InvalidParams, match="private characters"):
        render(made("qwen3"), "".join(map(chr, RANGES)))


def test_a_conversation_of_2000_turns_is_rendered() -> None:
    pieces = render(made("qwen3"), *["How so?", "Like that."] * 2000, "And?")
    assert sum(isinstance(piece, Mark) for piece in pieces) == 2 * 4001 + 1


def test_without_the_extra_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rkllm_twisted.chat.sandbox", None)
    monkeypatch.delattr("rkllm_twisted.chat.sandbox")
    with pytest.raises(ExtraMissingError, match=r"pip install 'rkllm-twisted\[chat\]'"):
        template("x")
