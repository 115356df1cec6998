"""What ``twistd rkllm`` takes on its command line and from the environment, as one table."""

from __future__ import annotations

import grp
import math
import os
import pwd
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
from twisted.python import usage

from rkllm_twisted.npu.history import HISTORIES


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


def user(text: str) -> int:
    """The name or number of a user.

    :raises ValueError: there is no such user.
    """
    return int(text) if text.isdecimal() else _known(pwd.getpwnam, text).pw_uid


def group(text: str) -> int:
    """The name or number of a group.

    :raises ValueError: there is no such group.
    """
    return int(text) if text.isdecimal() else _known(grp.getgrnam, text).gr_gid


def _known(look_up: Callable[[str], Any], name: str) -> Any:
    try:
        return look_up(name)
    except KeyError:
        raise ValueError from None


def one_of(names: Mapping[str, object]) -> Callable[[str], str]:
    """Make the parser of an option that is one of a few words."""

    def choose(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    choose.__doc__ = " or ".join(names)
    return choose


@attrs.frozen
class Setting:
    """An option with a value.

    :param default: as a person would write it; None: none, or found out later.
    :param meaning: for ``--help``.
    :param variable: of the environment; an option that is given goes before it.
    :param parse: makes the value; its docstring's first line says what it must be.
    :param otherwise: what applies where there is no default, in words.
    :param short: the option's letter.
    """

    default: str | None
    meaning: str
    variable: str | None = None
    parse: Callable[[str], object] = str
    otherwise: str | None = None
    short: str | None = None

    def parameter(self, name: str) -> list[Any]:
        """The option in the form of :attr:`usage.Options.optParameters`."""
        default = " or ".join(
            filter(None, (self.variable and f"${self.variable}", self.default or self.otherwise))
        )
        note = f" [default: {default}]" if default else ""
        return [name, self.short, None, self.meaning + note]

    def value(self, name: str, given: str | None, environ: Mapping[str, str]) -> object:
        """The value in force.

        :raises usage.UsageError: it is not usable; the text names where it came from.
        """
        source = f"--{name}"
        if given is None and self.variable is not None and environ.get(self.variable):
            source, given = self.variable, environ[self.variable]
        text = self.default if given is None else given
        if text is None:
            return None
        try:
            return self.parse(text)
        except ValueError:
            wanted = (self.parse.__doc__ or "").splitlines()[0].rstrip(".")
            wanted = wanted[:1].lower() + wanted[1:]
            raise usage.UsageError(f"{source} must be {wanted}, not {given!r}.") from None


SETTINGS: Mapping[str, Setting] = {
    "socket": Setting("/tmp/rkllm.sock", "Path of the socket.", "RKLLM_UDS_PATH", short="s"),
    "mode": Setting("0600", "Permission bits of the socket, octal.", parse=octal),
    "owner": Setting(
        None, "User to give the socket to.", parse=user, otherwise="whoever starts the daemon"
    ),
    "group": Setting(
        None, "Group to give the socket to.", parse=group, otherwise="whoever starts the daemon's"
    ),
    "library": Setting(
        None,
        "librkllmrt.so's path, or 'cpu' for the embedded runtime.",
        otherwise="$RKLLM_LIBRARY or the loader's path",  # looked up where it is opened
        short="l",
    ),
    "abi": Setting(None, "The runtime's release, where it does not say it itself: 1.3.0 …"),
    "history": Setting(
        "shared",
        "Whose runs a run reads on from: 'shared', everybody's, as the library does it;"
        " 'connection', those of its own connection, until another one's run comes in between.",
        parse=one_of(HISTORIES),
    ),
    "isolation": Setting(
        "process",
        "Where the runtime lives: 'process', a child whose crash costs the calls under way and no"
        " more; 'thread', this process, for embedding.",
        parse=one_of({"process": None, "thread": None}),
    ),
    "init-timeout": Setting(
        None,
        "Seconds that loading a model may take.",
        parse=seconds,
        otherwise="30, and 45 for each GiB of the model's file",
    ),
    "first-token-timeout": Setting(
        "300", "Seconds until a run's first token must have come.", parse=seconds
    ),
    "token-timeout": Setting("60", "Seconds until each further token.", parse=seconds),
    "child-cpus": Setting(
        None, "Processors for the runtime's process: 4-7 or 0,2.", parse=processors, otherwise="all"
    ),
    "child-oom-score": Setting(
        None, "oom_score_adj of the runtime's process.", parse=oom_score, otherwise="the daemon's"
    ),
    "max-clients": Setting(
        "100", "How many may be connected at once.", "RKLLM_MAX_CLIENTS", positive
    ),
    "max-requests": Setting("8", "Requests under way for one connection.", parse=positive),
    "queue": Setting("64", "Calls that may wait for the NPU, of all clients.", parse=positive),
    "max-message": Setting("64M", "Bytes that one message from a client may have.", parse=size),
    "max-unparsed": Setting(
        "256M", "Bytes of unfinished messages held for all clients together.", parse=size
    ),
    "max-unread": Setting("1M", "Bytes held for a client that does not read.", parse=size),
    "unread-timeout": Setting(
        "30", "Seconds after which a client that reads nothing is dropped.", parse=seconds
    ),
}


class Options(usage.Options):
    """What ``twistd rkllm`` takes."""

    synopsis = "[options]"
    longdesc = (
        "Serves Rockchip's RKLLM runtime (librkllmrt.so) as JSON-RPC 2.0 on a UNIX socket. On a"
        " machine without an NPU, --library cpu runs the embedded runtime on the processor."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        setting.parameter(name) for name, setting in SETTINGS.items()
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        [
            "native-async",
            None,
            "Let rkllm.run_async use C's own rkllm_run_async, which fails on many releases.",
        ],
    ]

    def postOptions(self) -> None:
        """Check the values, and fill in what comes from the environment.

        :raises usage.UsageError: a value is not usable.
        """
        for name, setting in SETTINGS.items():
            self[name] = setting.value(name, self[name], os.environ)
        if self["max-unparsed"] < self["max-message"]:
            raise usage.UsageError(
                "--max-unparsed must not be less than --max-message: no message of that size could"
                " come in."
            )
