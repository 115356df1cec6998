"""Made-up hidden states and logits, which depend on the words of a prompt only."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, chain
from typing import Any

from rkllm_twisted.testing.answers import tokens_of
from rkllm_twisted.values import FloatArray

#: The floats of a row of hidden states.
HIDDEN_WIDTH = 16


def _vector(word: str) -> list[float]:
    """Return numbers from -1 to 1 for a word; spaces and capital letters make no difference."""
    digest = hashlib.sha256(word.strip().lower().encode()).digest()
    return [byte / 127.5 - 1 for byte in digest[:HIDDEN_WIDTH]]


def _sums(text: str) -> Iterator[list[float]]:
    """Yield the sum of the words up to each: texts that share words are near each other."""
    vectors = map(_vector, tokens_of(text) or ("",))
    return accumulate(vectors, lambda a, b: [x + y for x, y in zip(a, b, strict=True)])


def _matrix(rows: list[list[float]]) -> FloatArray:
    return FloatArray(array("f", chain.from_iterable(rows)).tobytes(), (len(rows), len(rows[0])))


def _hidden(text: str, _: int) -> dict[str, Any]:
    rows = list(_sums(text))
    facts = {"embd_size": HIDDEN_WIDTH, "num_tokens": len(rows)}
    return {"last_hidden_layer": {"hidden_states": _matrix(rows), **facts}}


def _logits(text: str, columns: int) -> dict[str, Any]:
    rows = [[row[at % HIDDEN_WIDTH] for at in range(columns)] for row in _sums(text)]
    return {"logits": {"logits": _matrix(rows), "vocab_size": columns, "num_tokens": len(rows)}}


#: RKLLMInferMode -> the members of the RKLLMResult of a run, from its prompt and how many columns
#: its logits have.
ARRAYS: Mapping[int, Callable[[str, int], dict[str, Any]]] = {1: _hidden, 2: _logits}
