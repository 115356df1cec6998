"""Stop texts. The answer ends before the first stop text, even if this is inside a token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rkllm_twisted.chat.marks import Marks
from rkllm_twisted.chat.messages import shown, wrong

#: OpenAI's API allows 4. The work grows with the number.
MAX_STOPS = 16
#: The memory for the beginnings of a text grows with the square of its length.
MAX_STOP_CHARACTERS = 1000


def read_stops(value: object) -> tuple[str, ...]:
    """Read ``stop``: a text, or an array of texts.

    :raises InvalidParams: a value is wrong; the error names its place.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence):
        raise wrong("stop", f"must be a text or an array of texts, not {shown(value)}")
    if len(value) > MAX_STOPS:
        raise wrong("stop", f"{len(value)} texts are too many, at most {MAX_STOPS} are looked for")
    for number, text in enumerate(value):
        if not isinstance(text, str) or not text:
            raise wrong(
                f"stop[{number}]", f"must be a text of at least one character: {shown(text)}"
            )
        if len(text) > MAX_STOP_CHARACTERS:
            raise wrong(
                f"stop[{number}]",
                f"has {len(text)} characters, at most {MAX_STOP_CHARACTERS} are looked for",
            )
    return tuple(value)


class StopMatcher:
    """Cuts a text at the first stop text.

    :param stopped: True once a stop text was found. After that no text is returned.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._marks = Marks(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Read a chunk of text. Return the text that is certainly before any stop text."""
        if self.stopped:
            return ""
        found = self._marks.search(self._held + text)
        self.stopped = found.mark is not None
        self._held = "" if self.stopped else found.rest
        return found.before

    def flush(self) -> str:
        """Return the held text up to a stop text. Call this after the last chunk."""
        found = self._marks.search(self._held, more=False)
        self.stopped = self.stopped or found.mark is not None
        self._held = ""
        return found.before
