"""What systemd has given the process: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

import attrs

from rkllm_twisted.errors import StartupError

#: SD_LISTEN_FDS_START: the sockets' descriptors count from here.
FIRST = 3
OURS = (
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)


@attrs.frozen
class SystemdEnvironment:
    """What there is; without systemd, nothing.

    :param sockets: descriptors of the sockets that systemd has opened for us.
    :param notify: address of the datagram socket that takes news.
    :param watchdog: seconds after which systemd takes the process for hung; None: it does not.
    """

    sockets: range = range(0)
    notify: str | None = None
    watchdog: float | None = None


def take_environment(environ: MutableMapping[str, str]) -> SystemdEnvironment:
    """Read it from the environment, and remove it there: no child shall take it for its own.

    :raises StartupError: a variable is not a number.
    """
    given = {name: environ.pop(name) for name in OURS if name in environ}
    sockets = _number(given, "LISTEN_FDS") if _is_for_us(given, "LISTEN_PID", False) else 0
    usec = _number(given, "WATCHDOG_USEC") if _is_for_us(given, "WATCHDOG_PID", True) else 0
    return SystemdEnvironment(
        range(FIRST, FIRST + sockets), given.get("NOTIFY_SOCKET") or None, usec / 1e6 or None
    )


def _is_for_us(given: MutableMapping[str, str], pid: str, unless_said: bool) -> bool:
    """Whether a variable with a process id means this process, and not one that it came from."""
    return given[pid] == str(os.getpid()) if pid in given else unless_said


def _number(given: MutableMapping[str, str], name: str) -> int:
    text = given.get(name, "0")
    if not (text.isascii() and text.isdecimal()):
        raise StartupError(f"The variable {name} must be a whole number from 0, not {text!r}.")
    return int(text)
