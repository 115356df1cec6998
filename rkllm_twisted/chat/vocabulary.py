"""A model's tokenizer: from the pieces of a prompt to tokens, and from tokens back to text.

Only a :class:`.segments.Mark` becomes a control token. Text is encoded by a second tokenizer, which
does not know the control tokens. The whole text between two marks is encoded at once, so that it
gets the tokens that the model was trained with. If each message were encoded alone, the tokens at
its ends would differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.segments import Mark, Pieces, merged
from rkllm_twisted.chat.token_table import byte_reader
from rkllm_twisted.errors import InvalidParams

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: In characters. The ``tokenizer.json`` of a model with 256,000 tokens has 34 MB.
MAX_FILE = 128 * 1024 * 1024
#: SentencePiece's space.
_SPACE = "\u2581"
_REPLACEMENT = "\ufffd"


class Vocabulary:
    """One ``tokenizer.json``.

    :param text: the text of the file.
    :param control: a mapping from the text of each control token to its id. It leaves out added
        tokens that are white space.
    :ivar bytes_of: returns the bytes of a token by its name in the file.
    :cvar is_certain: True if it is the model's own without doubt, and need not be compared.
    :raises InvalidParams: the text is not a tokenizer.
    :raises ExtraMissingError: tokenizers is not installed.
    """

    is_certain = False

    def __init__(self, text: str) -> None:
        if len(text) > MAX_FILE:
            raise _unusable(f"it has {len(text)} characters, more than {MAX_FILE}")
        try:
            settings = json.loads(text)
            added: list[Mapping[str, Any]] = settings["added_tokens"]
            self._added = {one["content"]: one for one in added if not _is_space(one["content"])}
            self.control = {content: int(one["id"]) for content, one in self._added.items()}
            unknown = _unknown(settings["model"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _unusable("it is no tokenizer.json") from error
        self._longest: int | None = None
        self.bytes_of = byte_reader(settings)
        self._whole = _tokenizer(settings)
        spaces = [one for one in added if _is_space(one["content"])]
        settings = {**settings, "added_tokens": spaces, "post_processor": None}
        self._first = _tokenizer(settings)
        further = _without_first_space(settings)
        self._further = self._first if further is settings else _tokenizer(further)
        self._texts = {number: content for content, number in self.control.items()}
        #: The ids that text is never encoded to: all control tokens but the one for unknown text.
        self._guarded = {*self._texts} - {self.control.get(unknown)}
        #: From the second tokenizer's ids of white space tokens to the model's ids.
        self._ids = {self._first.token_to_id(one["content"]): int(one["id"]) for one in spaces}

    @property
    def size(self) -> int:
        """The number of tokens, with those that were added to the vocabulary."""
        return int(self._whole.get_vocab_size())

    def words(self) -> Mapping[str, int]:
        """Return the ids of all tokens by their names in the file."""
        return self._whole.get_vocab()

    @property
    def surrounding(self) -> tuple[Pieces, Pieces]:
        """The control tokens that the model reads before and after any text, e.g. ``<s>``."""
        bare = self._whole.encode("a", add_special_tokens=False).ids
        ids = self._whole.encode("a").ids
        start = next((at for at in range(len(ids)) if ids[at : at + len(bare)] == bare), 0)
        ends = ids[:start], ids[start + len(bare) :]
        before, behind = (
            tuple(Mark(self._texts[one]) for one in end if one in self._texts) for end in ends
        )
        return before, behind

    def encode(self, pieces: Pieces, *, first: bool = True) -> tuple[int, ...]:
        """Return the tokens of a prompt.

        :param first: False if the pieces are not the beginning of the prompt.
        :raises InvalidParams: a mark among the pieces is not a token of the model.
        """
        tokens: list[int] = []
        pieces = self._stripped(pieces)
        for number, piece in enumerate(pieces):
            if isinstance(piece, Mark):
                tokens.append(self._control(piece.text))
            else:
                tokens += self._letters(piece, first=first and number == 0)
        return tuple(tokens)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text. None of them is a control token."""
        return self.encode((text,) if text else ())

    def count(self, pieces: Pieces) -> int:
        """Return the number of tokens of a prompt."""
        return len(self.encode(pieces))

    def count_at_least(self, pieces: Pieces) -> int:
        """Return a lower bound for the number of a prompt's tokens, without encoding the prompt.

        The bound follows from the length of the longest token. Normalising makes a text at most
        four times shorter. So a text of megabytes is quickly known to be too long.
        """
        if self._longest is None:
            self._longest = max(map(len, self._whole.get_vocab()), default=1)
        letters = sum(len(piece) for piece in pieces if isinstance(piece, str))
        return letters // (4 * self._longest)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. Control tokens are shown as their texts."""
        try:
            return str(self._whole.decode(list(tokens), skip_special_tokens=False))
        except (OverflowError, TypeError, ValueError) as error:
            raise InvalidParams(
                "tokens: must be ids of tokens.", {"parameter": "tokens"}
            ) from error

    def check(self, tokens: Iterable[int], place: str) -> None:
        """Check that tokens are tokens of the model.

        :param place: the parameter that has them.
        :raises InvalidParams: the error names the first that is none.
        """
        for at, token in enumerate(tokens):
            if not 0 <= token < 1 << 31 or self._whole.id_to_token(token) is None:
                raise InvalidParams(
                    f"{place}[{at}]: the model has no token {token}.",
                    {"parameter": f"{place}[{at}]"},
                )

    def pieces(self, tokens: Iterable[int], before: Sequence[int] = ()) -> Pieces:
        """Return the pieces of generated tokens.

        :param before: the tokens before them. The last of these decides whether the text begins
            with a space.
        """
        pieces: list[str | Mark] = []
        context, run = list(before[-1:]), list[int]()
        for token in tokens:
            if token not in self._texts:
                run.append(token)
                continue
            pieces += [self.decode_after(context, run), Mark(self._texts[token])]
            context, run = [token], []
        return merged([*pieces, self.decode_after(context, run)])

    def decode_after(self, context: Sequence[int], tokens: Sequence[int]) -> str:
        """Return the text that tokens add after earlier ones, with a space between if needed."""
        return self.decode([*context, *tokens])[len(self.decode(context)) :]

    def width_mismatch(self, columns: int) -> str | None:
        """Return a sentence that shows that the model has another tokenizer, or None.

        A model has more columns than its tokenizer has tokens, for alignment, but not twice as
        many. It may lack columns for tokens that were added later, but for no others.

        :param columns: how many columns the model's logits have.
        """
        own = int(self._whole.get_vocab_size(with_added_tokens=False))
        if own <= columns <= 2 * self.size:
            return None
        return f"The tokenizer has {self.size} tokens and the model {columns}."

    def mismatch(self, token: int, text: str) -> str | None:
        """Return a sentence that shows that the model has another tokenizer, or None.

        :param token: the id of a token that the runtime reported.
        :param text: the text of this token. Part of a character proves nothing.
        """
        if not text or _REPLACEMENT in text or token in self._texts:
            return None
        own = self._whole.decode([token], skip_special_tokens=False) if token >= 0 else ""
        if text.strip() == own.strip() or _REPLACEMENT in own:
            return None
        return f"Token {token} is {text!r} to the model and {own!r} to the tokenizer."

    def _control(self, text: str) -> int:
        if text not in self.control:
            raise _unusable(f"it lacks the token {text!r} of the prompt")
        return self.control[text]

    def _letters(self, text: str, *, first: bool) -> list[int]:
        tokenizer = self._first if first else self._further
        encoding = tokenizer.encode(text, add_special_tokens=False)
        ids = [self._ids.get(one, one) for one in encoding.ids]
        if self._guarded.isdisjoint(ids):
            return ids
        # A vocabulary without byte pairs may hold a control token's text as a word. Cut that word.
        places = zip(ids, encoding.offsets, strict=True)
        cuts = [_amid(place, text) for token, place in places if token in self._guarded]
        return [
            token
            for start, end in pairwise([0, *cuts, len(text)])
            for token in self._letters(text[start:end], first=first and start == 0)
        ]

    def _stripped(self, pieces: Pieces) -> Pieces:
        """Remove white space beside the marks that have ``lstrip`` or ``rstrip`` set."""
        made = list(pieces)
        for at, piece in enumerate(pieces):
            if not isinstance(piece, Mark) or piece.text not in self._added:
                continue
            settings = self._added[piece.text]
            if settings.get("lstrip") and at and isinstance(before := made[at - 1], str):
                made[at - 1] = before.rstrip()
            if settings.get("rstrip") and at + 1 < len(made):
                behind = made[at + 1]
                made[at + 1] = behind.lstrip() if isinstance(behind, str) else behind
        return merged(made)


class Decoder:
    """Turns single tokens into text. It returns whole characters only."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._before: list[int] = []  # the tokens of the last returned text
        self._tokens: list[int] = []  # the tokens after these

    def feed(self, token: int) -> str:
        """Read a token. Return the text that is now complete."""
        self._tokens.append(token)
        text = self._new()
        if not text or text.endswith(_REPLACEMENT):  # some bytes of a character are missing
            return ""
        self._before, self._tokens = self._tokens, []
        return text

    def flush(self) -> str:
        """Return the text for a last character that was never complete."""
        text, self._tokens = self._new(), []
        return text

    def _new(self) -> str:
        return self._vocabulary.decode_after(self._before, self._tokens)


def _unknown(model: Mapping[str, Any]) -> str:
    """Return the text of the token that stands for unknown text; empty if there is none."""
    if model.get("unk_id") is not None:
        return str(model["vocab"][model["unk_id"]][0])
    return str(model.get("unk_token") or "")


def _amid(place: tuple[int, int], text: str) -> int:
    start, end = place
    if end - start < 2:
        raise InvalidParams(
            f"messages: {text[start:end]!r} is nothing but a control token to this model.",
            {"parameter": "messages"},
        )
    return (start + end) // 2


def _is_space(content: str) -> bool:
    return not content.strip().strip(_SPACE)


def _without_first_space(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings that put no space before a text in the middle of a prompt."""
    text = json.dumps(settings.get("pre_tokenizer"))
    never = text.replace('"prepend_scheme": "first"', '"prepend_scheme": "never"')
    return settings if never == text else {**settings, "pre_tokenizer": json.loads(never)}


def _tokenizer(settings: Mapping[str, Any]) -> Tokenizer:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - the extra may be missing
    except ImportError as error:
        raise ExtraMissingError.of("tokenizers", "count tokens") from error
    try:
        tokenizer = Tokenizer.from_str(json.dumps(settings))
    except Exception as error:  # tokenizers raises no more exact class
        raise _unusable(str(error)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unusable(why: str) -> InvalidParams:
    return InvalidParams(
        f"The model's tokenizer.json cannot be used: {why}.", {"parameter": "model"}
    )
