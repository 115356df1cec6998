"""The bytes of each token of a model, read from the settings of a ``tokenizer.json``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from rkllm_twisted.chat.vocabulary import Vocabulary

#: SentencePiece's space.
_SPACE = "\u2581"
#: A token that stands for a single byte.
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@attrs.frozen(eq=False)
class TokenTable:
    """All tokens of a model.

    :param texts: the bytes of each token by its id; those of a control token are its name.
    :param control: the ids of tokens that no text is made of.
    :param ends: the ids of the tokens that end an answer; at least one.
    :param encode: returns tokens for a text that continues an answer.
    """

    texts: Sequence[bytes] = attrs.field(repr=False)
    control: frozenset[int]
    ends: frozenset[int]
    encode: Callable[[str], Sequence[int]] = attrs.field(repr=False)

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.texts)


def table_of(vocabulary: Vocabulary, ends: Iterable[int]) -> TokenTable:
    """Return the tokens of a tokenizer.

    :param ends: the ids of the tokens that end an answer. Without any, a token is added that no
        model has.
    """
    words, control = vocabulary.words(), {*vocabulary.control.values()}
    texts = [b""] * (max(words.values(), default=-1) + 1)
    unused = {*range(len(texts))} - {*words.values()}
    for word, number in words.items():
        texts[number] = word.encode() if number in control else vocabulary.bytes_of(word)
    known = frozenset(one for one in ends if one < len(texts)) or frozenset({len(texts)})
    texts += [b"<end>"] * (max(known) + 1 - len(texts))
    return TokenTable(
        texts,
        frozenset({*control, *unused, *known}),
        known,
        lambda text: vocabulary.encode((text,), first=False) if text else (),
    )


def byte_reader(settings: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Return the function that makes bytes of a token's text in the vocabulary.

    :param settings: a decoded ``tokenizer.json``.
    """
    if "ByteLevel" in _decoders(settings.get("decoder")):
        return _byte_level
    return _sentence_piece


def _decoders(decoder: Any) -> list[str]:
    """Return the types of a decoder and of those inside it."""
    if not isinstance(decoder, Mapping):
        return []
    inner = decoder.get("decoders") or []
    return [str(decoder.get("type")), *(name for one in inner for name in _decoders(one))]


@cache
def letters_of_bytes() -> Mapping[str, int]:
    """Return the byte that each letter of GPT-2's byte-level vocabularies stands for.

    Printable bytes stand for themselves, and the others, in order, for the letters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (one for one in range(256) if one not in printable)
    return {
        **{chr(one): one for one in printable},
        **{chr(256 + at): one for at, one in enumerate(others)},
    }


def _byte_level(text: str) -> bytes:
    letters = letters_of_bytes()
    try:
        return bytes(letters[one] for one in text)
    except KeyError:  # an added token, which stands as it is
        return text.encode()


def _sentence_piece(text: str) -> bytes:
    byte = _BYTE.fullmatch(text)
    return bytes([int(byte[1], 16)]) if byte else text.replace(_SPACE, " ").encode()


def byte_table() -> TokenTable:
    """Return a table of 256 tokens, each the byte of its number, and an end."""
    texts = [bytes([one]) for one in range(256)]
    end = frozenset({256})
    return TokenTable([*texts, b"<end>"], end, end, lambda text: [*text.encode()])
