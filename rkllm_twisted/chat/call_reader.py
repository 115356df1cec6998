"""A reader for one tool call, while the model writes the call."""

from __future__ import annotations

import json
from collections.abc import Collection

from rkllm_twisted.chat.json_scanner import Expect, JSONScanner, NotJSONError

#: Hermes and Mistral use the first name, Llama and InternLM the second.
ARGUMENTS = ("arguments", "parameters")


class NotACallError(ValueError):
    """The text is not a call of a known function."""


#: The states inside a string, number or word.
_IN_TOKEN = (Expect.STRING, Expect.ESCAPE, Expect.HEX, Expect.SCALAR)


class CallReader:
    """Reads a JSON object that may be a call, and returns its arguments as they come.

    :param names: the names of the known functions. An object with another name is not a call.
    :param named: the function's name if it stood before the object; otherwise None. With a name
        before it, the whole object is the arguments.
    :param name: the function's name; None until it is known.
    :param since_name: the text that has come behind the name, before the arguments.
    :param done: True once the object is complete.
    :param position: the index of the last character that was read, in the text of the last feed.
    """

    def __init__(self, names: Collection[str], named: str | None = None) -> None:
        self.name: str | None = None
        self.since_name = ""
        self.done = False
        self.position = 0
        self._names = names
        self._scanner = JSONScanner()
        self._step = self._in_call if named is None else self._in_arguments
        self._key: str | None = None
        self._text: list[str] = []  # the member's name or value so far
        self._arguments: list[str] = []
        self._has_arguments = False
        if named is not None:
            self._named(named)

    @property
    def begun(self) -> bool:
        """True if the name is known and the arguments are known to be an object."""
        return self.name is not None and self._has_arguments

    def take(self) -> str:
        """Return the arguments' text that has come since the last call of this method."""
        if not self.begun:
            return ""
        text = "".join(self._arguments)
        self._arguments = []
        return text

    def feed(self, text: str) -> int:
        """Read text. Return how many of its characters belong to the object.

        :raises NotACallError: the character at :attr:`position` shows that this is not a call.
        """
        for self.position, character in enumerate(text):
            if self.name is not None and not self._has_arguments:
                self.since_name += character
            try:
                self._step(character)
            except NotJSONError as error:
                raise NotACallError from error
            if self.done:
                return self.position + 1
        return len(text)

    def _in_arguments(self, character: str) -> None:
        self._scanner.feed(character)
        self._has_arguments = True
        self._arguments.append(character)
        self.done = self._scanner.expect is Expect.NOTHING

    def _in_call(self, character: str) -> None:
        was_in_member = self._in_member()
        was_in_scalar = self._scanner.depth == 1 and self._scanner.expect is Expect.SCALAR
        self._scanner.feed(character)
        now, in_member = self._scanner.expect, self._in_member()
        if was_in_member and (in_member or not was_in_scalar):  # what ends a scalar is not in it
            self._add(character)
        elif in_member and not was_in_member:
            if self._key in ARGUMENTS and character == "{":
                self._arguments_began()
            self._add(character)
        if was_in_member and not in_member:
            self._member_ended(is_key=now is Expect.COLON)
        if now is Expect.NOTHING:
            self._object_ended()

    def _in_member(self) -> bool:
        """True inside a member's name or value."""
        depth = self._scanner.depth
        return depth > 1 or (depth == 1 and self._scanner.expect in _IN_TOKEN)

    def _add(self, character: str) -> None:
        self._text.append(character)
        if self._key in ARGUMENTS and self._text[0] == "{":
            self._arguments.append(character)

    def _member_ended(self, *, is_key: bool) -> None:
        text, self._text = "".join(self._text), []
        if is_key:
            self._key = json.loads(text)
            return
        if self._key == "name":
            self._named(json.loads(text))
        elif self._key in ARGUMENTS and not text.startswith("{"):
            self._arguments_as_text(json.loads(text))
        self._key = None

    def _named(self, name: object) -> None:
        if self.name is not None or not isinstance(name, str) or name not in self._names:
            raise NotACallError
        self.name = name

    def _arguments_began(self) -> None:
        if self._has_arguments:
            raise NotACallError
        self._has_arguments = True

    def _arguments_as_text(self, value: object) -> None:
        """Read arguments that are not an object.

        Some models write a string that holds the object. Some write null if there are none.
        """
        if value is None:
            return
        if not isinstance(value, str) or not isinstance(_parsed(value), dict):
            raise NotACallError
        self._arguments_began()
        self._arguments.append(value)

    def _object_ended(self) -> None:
        if self.name is None:
            raise NotACallError
        if not self._has_arguments:
            self._arguments_began()
            self._arguments.append("{}")
        self.done = True


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
