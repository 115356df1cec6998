"""What the values of options look like, as people write them: one function for each form.

Each makes the value from a text; its docstring's first line says what it must be.
"""

from __future__ import annotations

import grp
import math
import pwd
import re
from collections.abc import Callable, Mapping
from pathlib import Path


def octal(text: str) -> int:
    """An octal number from 0 to 0777, such as 0600.

    :raises ValueError: it is none.
    """
    mode = int(text, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError
    return mode


def positive(text: str) -> int:
    """A whole number from 1.

    :raises ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_SIZE = re.compile(r"([0-9]+)([KMG]?)(?:I?B)?", re.ASCII)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def size(text: str) -> int:
    """A number of bytes, or of K, M or G, such as 64M.

    :raises ValueError: it is none, or zero.
    """
    match = _SIZE.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError
    return positive(match[1]) * _UNITS[match[2]]


def seconds(text: str) -> float:
    """A number of seconds above 0.

    :raises ValueError: it is none.
    """
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def processors(text: str) -> tuple[int, ...]:
    """Numbers of processors, such as 4-7 or 0,2.

    :raises ValueError: they are none.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    if not found or min(found) < 0:
        raise ValueError
    return tuple(sorted(found))


def oom_score(text: str) -> int:
    """A whole number from -1000 to 1000, see proc(5).

    :raises ValueError: it is none.
    """
    number = int(text)
    if not -1000 <= number <= 1000:
        raise ValueError
    return number


def one_of(names: Mapping[str, object]) -> Callable[[str], str]:
    """Make the parser of an option that is one of a few words."""

    def choose(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    choose.__doc__ = " or ".join(names)
    return choose


def switch(text: str) -> bool:
    """Yes or no.

    :raises ValueError: it is neither.
    """
    word = text.lower()
    if word not in _SWITCH:
        raise ValueError
    return _SWITCH[word]


_SWITCH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def user(text: str) -> int:
    """The name or number of a user.

    :raises ValueError: there is no user of that name.
    """
    return _number(text, lambda name: pwd.getpwnam(name).pw_uid)


def group(text: str) -> int:
    """The name or number of a group.

    :raises ValueError: there is no group of that name.
    """
    return _number(text, lambda name: grp.getgrnam(name).gr_gid)


def _number(text: str, look_up: Callable[[str], int]) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return look_up(text)
    except KeyError:
        raise ValueError from None


def directory(text: str) -> str:
    """A directory that is there.

    :raises ValueError: it is none.
    """
    path = Path(text).absolute()
    if not path.is_dir():
        raise ValueError
    return str(path)


#: What may also be written as a number where there are numbers; other texts of digits (0600) are
#: not the same number there.
NUMBERS = frozenset({positive, size, seconds, oom_score, user, group})
