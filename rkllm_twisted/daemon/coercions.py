"""Parses the texts of options: one function for each form of value.

Each function raises ValueError if the text is wrong. Its attribute ``coerceDoc``, a name of
:mod:`twisted.python.usage`, says what the text must be. A docstring would not do: ``python -OO``
removes it.
"""

from __future__ import annotations

import grp
import json
import math
import pwd
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Parse = TypeVar("Parse", bound=Callable[[str], object])


def must_be(words: str) -> Callable[[Parse], Parse]:
    """Return a decorator that sets ``coerceDoc``: what the text must be, for the error."""

    def decorate(parse: Parse) -> Parse:
        parse.coerceDoc = words  # type: ignore[attr-defined]
        return parse

    return decorate


@must_be("an octal number from 0 to 0777, such as 0600")
def octal(text: str) -> int:
    """Read permission bits."""
    mode = int(text, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError
    return mode


@must_be("a whole number from 1")
def positive(text: str) -> int:
    """Read a count above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


@must_be("a whole number from 0")
def from_zero(text: str) -> int:
    """Read a count that may be 0."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


@must_be("names of devices with commas between them, or none")
def device_names(text: str) -> str:
    """Read a list of names; the value has no spaces."""
    names = [name.strip() for name in text.split(",")]
    if not all(names) or any(" " in name for name in names):
        raise ValueError
    return ",".join(names)


_SIZE = re.compile(r"([0-9]+)([KMG]?)(?:I?B)?", re.ASCII)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@must_be("a number of bytes, or of K, M or G, such as 64M")
def size(text: str) -> int:
    """Read a number of bytes above 0."""
    match = _SIZE.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError
    return positive(match[1]) * _UNITS[match[2]]


def size_text(number: int) -> str:
    """Write a number of bytes in the largest unit that divides it."""
    unit = next(u for u in reversed(_UNITS) if number % _UNITS[u] == 0)
    return f"{number // _UNITS[unit]}{unit}"


@must_be("a path")
def socket_path(text: str) -> str:
    """Read a socket's path, also as clients may write it in the same variable: ``unix:/path``."""
    path = text.removeprefix("unix:").removeprefix("path=")
    if not path:
        raise ValueError
    return path


@must_be("a number of seconds above 0")
def seconds(text: str) -> float:
    """Read a duration."""
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


@must_be("numbers of processors, such as 4-7 or 0,2")
def processors(text: str) -> tuple[int, ...]:
    """Read a list of processors."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    if not found or min(found) < 0:
        raise ValueError
    return tuple(sorted(found))


@must_be("a whole number from -1000 to 1000, see proc(5)")
def oom_score(text: str) -> int:
    """Read a value of ``oom_score_adj``."""
    number = int(text)
    if not -1000 <= number <= 1000:
        raise ValueError
    return number


def one_of(names: Mapping[str, object]) -> Callable[[str], str]:
    """Make the parser of an option whose value is one of a few words."""

    @must_be(" or ".join(names))
    def choose(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return choose


@must_be("yes or no")
def switch(text: str) -> bool:
    """Read the value of a flag."""
    word = text.lower()
    if word not in _SWITCH:
        raise ValueError
    return _SWITCH[word]


_SWITCH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@must_be("the name or number of a user")
def user(text: str) -> int:
    """Read a user; the value is its number."""
    return _number(text, lambda name: pwd.getpwnam(name).pw_uid)


@must_be("the name or number of a group")
def group(text: str) -> int:
    """Read a group; the value is its number."""
    return _number(text, lambda name: grp.getgrnam(name).gr_gid)


def _number(text: str, look_up: Callable[[str], int]) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return look_up(text)
    except KeyError:
        raise ValueError from None


@must_be("a directory that is there")
def directory(text: str) -> str:
    """Read the path of a directory; the value is absolute."""
    path = Path(text).absolute()
    if not path.is_dir():
        raise ValueError
    return str(path)


@must_be("NAME=VALUE, such as max_context_len=4096 or extend_param.base_domain_id=1")
def assignment(text: str) -> tuple[tuple[str, ...], object]:
    """Read a field of a structure and its value: JSON, or else text."""
    name, equals, value = text.partition("=")
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ValueError
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value


#: The forms that may also be written as a number in TOML.
NUMBERS = frozenset({positive, from_zero, size, seconds, oom_score, user, group})
