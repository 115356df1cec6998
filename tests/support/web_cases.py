"""What the programs in ``tests/interop/clients`` must print of each case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from web_libraries import ANSWER, ENGINES_ANSWER, SAID


def is_streamed(pieces: list[str | None]) -> bool:
    """True if the answer has come in pieces."""
    return "".join(piece or "" for piece in pieces) == ANSWER and len(pieces) > 2


def is_refused(status: int, *words: str) -> Callable[[Any], bool]:
    """Return a check of an error: its status, and words of its field, code or message."""

    def check(error: Any) -> bool:
        found, name, message = error
        return found == status and all(word in f"{name} {message}" for word in words)

    return check


#: A case -> the check of what was printed.
CASES: Mapping[str, Callable[[Any], bool]] = {
    "chat": lambda text: text == ANSWER,
    "stream": is_streamed,
    "count": lambda tokens: tokens == 4,
    "engine": lambda text: text == ENGINES_ANSWER,
    "tools": lambda found: found == ["look", {"place": "Köln"}, "It is sunny."],
    "json": is_refused(500, "did not keep to the form"),
    "embeddings": lambda sizes: sizes[0] == sizes[1] > 0,
    "invalid": is_refused(400, "temperature"),
    "missing": is_refused(404, "missing"),
    "key": is_refused(401, "key"),
    "broken": lambda found: found[0] == "So far" and "ended in an error" in found[1],
    "cancelled": lambda text: text == ANSWER,
    "many": lambda texts: texts == SAID,
}
