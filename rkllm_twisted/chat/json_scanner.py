"""A check for JSON (RFC 8259), one character at a time. It finds the first wrong character."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum

#: The limit is the same as for the daemon's own messages (``wire``).
MAX_DEPTH = 64
_SPACE = frozenset(" \t\r\n")
_SCALAR = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_SCALAR_CHARACTERS = frozenset("truefalsn0123456789+-.eE")
_CLOSING = {"{": "}", "[": "]"}
_HEX = frozenset("0123456789abcdefABCDEF")


class NotJSONError(ValueError):
    """The text is not JSON, or is nested too deep."""


class Expect(Enum):
    """What the next character may belong to."""

    VALUE = "a value"
    FIRST_ITEM = "a value, or the end of the array"
    FIRST_KEY = "a name, or the end of the object"
    KEY = "a name"
    COLON = "a colon"
    MORE = "a comma, or the end"
    STRING = "the rest of a string"
    ESCAPE = "what follows a backslash"
    HEX = "a digit of an escape"
    SCALAR = "the rest of a number or word"
    NOTHING = "the value is complete"


class JSONScanner:
    """Reads one JSON value.

    :param expect: what the next character may belong to.
    :param depth: how many arrays and objects are open.
    """

    def __init__(self) -> None:
        self.expect = Expect.VALUE
        self._open: list[str] = []
        self._in_key = False
        self._hex = 0
        self._scalar = ""

    @property
    def depth(self) -> int:
        """The number of open arrays and objects."""
        return len(self._open)

    def feed(self, character: str) -> None:
        """Read the next character.

        :raises NotJSONError: the character is wrong at this place.
        """
        if character in _SPACE and self.expect in _BETWEEN:
            return
        _STEPS[self.expect](self, character)

    def _value(self, character: str) -> None:
        if character in _CLOSING:
            self._open.append(character)
            if self.depth > MAX_DEPTH:
                raise NotJSONError
            self.expect = Expect.FIRST_KEY if character == "{" else Expect.FIRST_ITEM
        elif character == '"':
            self.expect, self._in_key = Expect.STRING, False
        elif character in _SCALAR_CHARACTERS:
            self.expect, self._scalar = Expect.SCALAR, character
        else:
            raise NotJSONError

    def _first_item(self, character: str) -> None:
        if character == "]":
            self._close(character)
        else:
            self._value(character)

    def _first_key(self, character: str) -> None:
        if character == "}":
            self._close(character)
        else:
            self._key(character)

    def _key(self, character: str) -> None:
        if character != '"':
            raise NotJSONError
        self.expect, self._in_key = Expect.STRING, True

    def _colon(self, character: str) -> None:
        if character != ":":
            raise NotJSONError
        self.expect = Expect.VALUE

    def _more(self, character: str) -> None:
        if character == ",":
            self.expect = Expect.KEY if self._open[-1] == "{" else Expect.VALUE
        else:
            self._close(character)

    def _close(self, character: str) -> None:
        if _CLOSING[self._open.pop()] != character:
            raise NotJSONError
        self._ended()

    def _ended(self) -> None:
        self.expect = Expect.MORE if self._open else Expect.NOTHING

    def _string(self, character: str) -> None:
        if character == "\\":
            self.expect = Expect.ESCAPE
        elif character == '"':
            if self._in_key:
                self.expect = Expect.COLON
            else:
                self._ended()
        elif character < " ":
            raise NotJSONError

    def _escape(self, character: str) -> None:
        if character == "u":
            self.expect, self._hex = Expect.HEX, 4
        elif character in '"\\/bfnrt':
            self.expect = Expect.STRING
        else:
            raise NotJSONError

    def _hex_digit(self, character: str) -> None:
        if character not in _HEX:
            raise NotJSONError
        self._hex -= 1
        if not self._hex:
            self.expect = Expect.STRING

    def _rest_of_scalar(self, character: str) -> None:
        if character in _SCALAR_CHARACTERS:
            self._scalar += character
            return
        if not _SCALAR.fullmatch(self._scalar):
            raise NotJSONError
        self._ended()
        self.feed(character)

    def _nothing(self, character: str) -> None:
        raise NotJSONError


_BETWEEN = frozenset(Expect) - {Expect.STRING, Expect.ESCAPE, Expect.HEX, Expect.SCALAR}
_STEPS: Mapping[Expect, Callable[[JSONScanner, str], None]] = {
    Expect.VALUE: JSONScanner._value,
    Expect.FIRST_ITEM: JSONScanner._first_item,
    Expect.FIRST_KEY: JSONScanner._first_key,
    Expect.KEY: JSONScanner._key,
    Expect.COLON: JSONScanner._colon,
    Expect.MORE: JSONScanner._more,
    Expect.STRING: JSONScanner._string,
    Expect.ESCAPE: JSONScanner._escape,
    Expect.HEX: JSONScanner._hex_digit,
    Expect.SCALAR: JSONScanner._rest_of_scalar,
    Expect.NOTHING: JSONScanner._nothing,
}
