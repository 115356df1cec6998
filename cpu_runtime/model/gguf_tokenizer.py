"""SentencePiece BPE over nothing but a GGUF's metadata, as an engine has to do it."""

from __future__ import annotations

import math
import re

import gguf

_NORMAL, _CONTROL, _USER_DEFINED, _BYTE = 1, 3, 4, 6


class Tokenizer:
    """SentencePiece BPE from a GGUF's metadata."""

    def __init__(self, fields: dict[str, gguf.ReaderField]) -> None:
        self.tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
        self.scores: list[float] = fields["tokenizer.ggml.scores"].contents()
        self.types: list[int] = fields["tokenizer.ggml.token_type"].contents()
        self.bos = int(fields["tokenizer.ggml.bos_token_id"].contents())
        self.stops = {
            int(fields[f"tokenizer.ggml.{name}_token_id"].contents())
            for name in ("eos", "eot")
            if f"tokenizer.ggml.{name}_token_id" in fields
        }
        self.space_prefix = bool(fields["tokenizer.ggml.add_space_prefix"].contents())
        self._pieces = self._of_type(_NORMAL, _USER_DEFINED)
        self._bytes = {int(text[3:5], 16): i for text, i in self._of_type(_BYTE).items()}
        self._control = self._of_type(_CONTROL)

    def _of_type(self, *types: int) -> dict[str, int]:
        pairs = enumerate(zip(self.tokens, self.types, strict=True))
        return {text: number for number, (text, kind) in pairs if kind in types}

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Token ids of ``text``; control tokens in it count only if ``special``."""
        if not special:
            return self._encode_plain(text)
        parts = re.split("(" + "|".join(map(re.escape, self._control)) + ")", text)
        ids: list[int] = []
        for part in parts:
            ids += [self._control[part]] if part in self._control else self._encode_plain(part)
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        if not text:
            return []
        parts = list((" " * self.space_prefix + text).replace(" ", "\u2581"))
        while True:
            # The pair with the best score is joined first, the leftmost one among equals.
            best, where = -math.inf, -1
            for i in range(len(parts) - 1):
                number = self._pieces.get(parts[i] + parts[i + 1])
                if number is not None and self.scores[number] > best:
                    best, where = self.scores[number], i
            if where < 0:
                break
            parts[where : where + 2] = [parts[where] + parts[where + 1]]
        ids: list[int] = []
        for part in parts:
            if part in self._pieces:
                ids.append(self._pieces[part])
            else:
                ids += [self._bytes[byte] for byte in part.encode()]
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of token ids, without control tokens."""
        raw = b""
        for number in ids:
            if self.types[number] == _BYTE:
                raw += bytes([int(self.tokens[number][3:5], 16)])
            elif self.types[number] in (_NORMAL, _USER_DEFINED):
                raw += self.tokens[number].replace("\u2581", " ").encode()
        return raw.decode(errors="replace")
