"""The bytes of each token are those of the text that it is decoded to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vocabularies import vocabulary

from rkllm_twisted.chat.token_table import byte_table, table_of
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.formats.gguf_tokenizer import read_tokenizer

TEXTS = [
    "What is a generator? 0123",
    "Grüße aus Köln. Привет, мир. 你好，世界。",
    "  x\n\n\ty",
    "😀",
]


def bundled() -> Vocabulary:
    data = Path(demo_model()).read_bytes()
    made = read_tokenizer(lambda at, length: data[at : at + length], len(data))
    assert made is not None
    return Vocabulary(json.dumps(made.settings))


KINDS = {
    "byte level": lambda: vocabulary("byte_level"),
    "first space": lambda: vocabulary("first_space"),
    "bundled": bundled,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_a_texts_tokens_are_the_text(kind: str, text: str) -> None:
    table = table_of(KINDS[kind](), ())
    assert b"".join(table.texts[one] for one in table.encode(text)) == text.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_control_tokens_are_no_text(kind: str) -> None:
    own = KINDS[kind]()
    table = table_of(own, ())
    assert {*own.control.values()} <= table.control
    assert not table.control & {*table.encode("<s> <|im_end|> <unk>x")}


def test_an_end_is_added_where_there_is_none() -> None:
    own = vocabulary("byte_level")
    table = table_of(own, ())
    assert table.ends == {own.size}
    assert table.size == own.size + 1
    assert table_of(own, [own.control["<|im_end|>"]]).size == own.size


def test_tokens_of_bytes_are_their_numbers() -> None:
    table = byte_table()
    assert [*table.encode("aä")] == [97, 195, 164]
    assert (table.size, table.ends) == (257, {256})
