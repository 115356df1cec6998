"""Reads the tokenizer of a GGUF file, and writes it as a ``tokenizer.json``.

The source is the format's specification (ggml, docs/gguf.md, "Tokenizer"): the arrays
``tokenizer.ggml.tokens``, ``scores``, ``token_type`` and ``merges``. What a vocabulary has beside
these, how text is split before it is encoded, is only named there; :data:`SPLITS` has the names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.formats.gguf import LAYOUTS, MAX_ELEMENTS, MAX_TEXT_BYTES, read_metadata
from rkllm_twisted.formats.reading import Cursor, ReadAt

_TEXT_TYPE = 8
_PREFIX = "tokenizer.ggml."
#: ``token_type`` of tokens that no text is made of: unknown, control, and those that are unused.
_CONTROL = frozenset({2, 3, 5})
_USER_DEFINED = 4
_SPACE = "\u2581"

_DIGITS = {"type": "Digits", "individual_digits": True}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def _split(pattern: str) -> Sequence[Mapping[str, Any]]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    return ({**split, "invert": False}, {**_BYTES, "use_regex": False})


def _words(digits: str) -> Sequence[Mapping[str, Any]]:
    """Return the splitting of Llama 3 and its followers, which differ in how digits are taken."""
    return _split(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


#: ``tokenizer.ggml.pre`` -> how text is split. Others split as GPT-2 does: the tokens are the
#: model's, only a few texts get other ones than in training.
SPLITS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "smollm": (_DIGITS, _BYTES),
    "qwen2": _words(r"\p{N}"),
    "llama-bpe": _words(r"\p{N}{1,3}"),
    "llama3": _words(r"\p{N}{1,3}"),
}


@attrs.frozen
class GGUFTokenizer:
    """A tokenizer.

    :param settings: as a decoded ``tokenizer.json``.
    :param ends: the ids of the tokens that end an answer.
    :param specials: variables of chat templates, such as ``bos_token``.
    """

    settings: Mapping[str, Any] = attrs.field(repr=False)
    ends: frozenset[int]
    specials: Mapping[str, str]


def read_tokenizer(read: ReadAt, size: int) -> GGUFTokenizer | None:
    """Read the tokenizer of a GGUF file.

    :param size: the size of the file in bytes.
    :returns: None if the vocabulary is of a kind that is not known here.
    :raises ValueError: it is no known GGUF.
    """
    found: dict[str, Any] = {}

    def take(name: str, cursor: Cursor, kind: int, count: int) -> bool:
        if not name.startswith(_PREFIX):
            return False
        found[name.removeprefix(_PREFIX)] = _array(cursor, kind, count)
        return True

    facts = read_metadata(read, size, take)
    make = _KINDS.get(str(facts.get(f"{_PREFIX}model")))
    if make is None or "tokens" not in found:
        return None
    tokens: Sequence[str] = found["tokens"]
    kinds: Sequence[int] = found.get("token_type") or [1] * len(tokens)
    own = {key.removeprefix(_PREFIX): value for key, value in facts.items()}
    settings = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(_added(tokens, kinds)),
        "post_processor": _beginning(own, tokens),
        **make(own, found),
    }
    ids = {name: own.get(f"{name}_token_id") for name in ("bos", "eos", "eot", "unk", "pad")}
    known = {n: one for n, one in ids.items() if type(one) is int and 0 <= one < len(tokens)}
    return GGUFTokenizer(
        settings,
        frozenset(known[name] for name in ("eos", "eot") if name in known),
        {f"{name}_token": tokens[one] for name, one in known.items()},
    )


def _array(cursor: Cursor, kind: int, count: int) -> Sequence[Any]:
    if count > MAX_ELEMENTS:
        raise ValueError(f"claims an array of {count} elements")
    if kind != _TEXT_TYPE:
        layout = LAYOUTS[kind]
        data = cursor.take(count * struct.calcsize(layout))
        return struct.unpack(f"<{count}{layout}", data)
    return [_text(cursor) for _ in range(count)]


def _text(cursor: Cursor) -> str:
    length = cursor.number("Q")
    if length > MAX_TEXT_BYTES:
        raise ValueError(f"has a token of {length} bytes")
    return cursor.take(length).decode("utf-8", "replace")


def _added(tokens: Sequence[str], kinds: Sequence[int]) -> Iterator[Mapping[str, object]]:
    for number, (text, kind) in enumerate(zip(tokens, kinds, strict=False)):
        if kind in _CONTROL or kind == _USER_DEFINED:
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            yield {"id": number, "content": text, **flags, "special": kind in _CONTROL}


def _beginning(own: Mapping[str, Any], tokens: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the rule that puts the first token before any text, if the model wants one."""
    first = own.get("bos_token_id")
    wants = own.get("add_bos_token", own.get("model") == "llama")
    if not wants or type(first) is not int or not 0 <= first < len(tokens):
        return None
    text = tokens[first]
    mark, whole = {"SpecialToken": {"id": text, "type_id": 0}}, {"Sequence": {"id": "A"}}
    return {
        "type": "TemplateProcessing",
        "single": [mark, {"Sequence": {**whole["Sequence"], "type_id": 0}}],
        "pair": [mark, {"Sequence": {**whole["Sequence"], "type_id": 0}}],
        "special_tokens": {text: {"id": text, "ids": [first], "tokens": [text]}},
    }


def _byte_level(own: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    """GPT-2's kind: letters that stand for bytes, and merges in their order."""
    splits = SPLITS.get(str(own.get("pre")), (_BYTES,))
    vocab = {text: number for number, text in enumerate(found["tokens"])}
    pairs = (merge.split(" ") for merge in found.get("merges", ()))
    known = [pair for pair in pairs if len(pair) == 2 and {*pair, "".join(pair)} <= vocab.keys()]
    return {
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(splits)},
        "decoder": _BYTES,
        "model": {"type": "BPE", "vocab": vocab, "merges": known},
    }


def _sentence_piece(own: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Llama 2's kind: of all pairs that make a token, the one with the best score goes first."""
    vocab = {text: number for number, text in enumerate(found["tokens"])}
    scores: Sequence[float] = found.get("scores") or [0.0] * len(vocab)
    made = [
        (-scores[number], number, text[:at], text[at:])
        for text, number in vocab.items()
        for at in range(1, len(text))
        if text[:at] in vocab and text[at:] in vocab
    ]
    scheme = "first" if own.get("add_space_prefix", True) else "never"
    space = {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": scheme, "split": False}
    unknown = own.get("unknown_token_id")
    steps: list[Mapping[str, Any]] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if scheme == "first":
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": None,
        "pre_tokenizer": space,
        "decoder": {"type": "Sequence", "decoders": steps},
        "model": {
            "type": "BPE",
            "unk_token": found["tokens"][unknown] if type(unknown) is int else None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocab,
            "merges": [[left, right] for _, _, left, right in sorted(made)],
        },
    }


_KINDS = {"gpt2": _byte_level, "llama": _sentence_piece}
