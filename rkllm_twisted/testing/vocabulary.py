"""The tokens of fake models: one for each word, in the order in which they come."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from rkllm_twisted.chat.segments import Mark, Pieces
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.testing.answers import tokens_of

#: Texts that are control tokens where a prompt has them as marks.
CONTROL = ("<|im_start|>", "<|im_end|>")


class WordVocabulary(Vocabulary):
    """A tokenizer without a file. A word that is new gets the next id."""

    is_certain = True

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = []
        self._lock = threading.Lock()  # clients' requests are prepared in threads
        self.control = {text: self.id_of(text) for text in CONTROL}
        self._texts = {number: text for text, number in self.control.items()}

    def id_of(self, word: str) -> int:
        """Return the id of a word."""
        with self._lock:
            if word not in self._numbers:
                self._numbers[word] = len(self._words)
                self._words.append(word)
            return self._numbers[word]

    def known_text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; ids that no word has are left out."""
        return "".join(self._words[one] for one in tokens if 0 <= one < len(self._words))

    def words(self) -> Mapping[str, int]:
        """Return nothing: new words come at any time, so that no answer can be made of them."""
        return {}

    @property
    def size(self) -> int:
        """See :class:`Vocabulary`."""
        return len(self._words)

    @property
    def surrounding(self) -> tuple[Pieces, Pieces]:
        """See :class:`Vocabulary`."""
        return (), ()

    def encode(self, pieces: Pieces, *, first: bool = True) -> tuple[int, ...]:
        """See :class:`Vocabulary`. Any mark is a control token."""
        words: list[str] = []
        for piece in pieces:
            words += (piece.text,) if isinstance(piece, Mark) else tokens_of(piece)
        return tuple(map(self.id_of, words))

    def count_at_least(self, pieces: Pieces) -> int:
        """See :class:`Vocabulary`."""
        return 0

    def decode(self, tokens: Sequence[int]) -> str:
        """See :class:`Vocabulary`."""
        self.check(tokens, "tokens")
        return self.known_text(tokens)

    def check(self, tokens: Iterable[int], place: str) -> None:
        """See :class:`Vocabulary`."""
        for at, token in enumerate(tokens):
            if not 0 <= token < len(self._words):
                raise InvalidParams(
                    f"{place}[{at}]: the model has no token {token}.",
                    {"parameter": f"{place}[{at}]"},
                )

    def mismatch(self, token: int, text: str) -> None:
        """See :class:`Vocabulary`."""

    def width_mismatch(self, columns: int) -> None:
        """See :class:`Vocabulary`."""
