"""The sockets that systemd passes to a service, and the notifications that it takes.

An environment (:func:`take_environment`), an open socket (:class:`ActivatedSocket`), and an address
that takes notifications (:class:`NotifySocket`). sd_listen_fds(3), sd_notify(3) and
sd_watchdog_enabled(3), without the library.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from rkllm_twisted.errors import SocketError, StartupError
from rkllm_twisted.interfaces import IListeningSocket

#: SD_LISTEN_FDS_START: the number of the first descriptor that systemd passes.
LISTEN_FDS_START = 3
VARIABLES = (
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)
UNIT_RULE = "rkllm.socket must have one ListenStream= with a path, and no other Listen…="
#: Control characters. A line break in a value would begin another assignment.
_CONTROL = dict.fromkeys([*range(32), 127], " ")

_log = Logger("rkllm.systemd")


@attrs.frozen
class SystemdEnvironment:
    """The variables that systemd has put into the environment; empty without systemd.

    :param sockets: descriptors of the sockets that systemd has opened for this process.
    :param notify: address of the datagram socket that takes notifications.
    :param watchdog: seconds without a notification after which systemd restarts the process; None:
        it never does.
    """

    sockets: range = range(0)
    notify: str | None = None
    watchdog: float | None = None


def take_environment(environ: MutableMapping[str, str]) -> SystemdEnvironment:
    """Read systemd's variables and remove them, so that no child process takes them for its own.

    :raises StartupError: a variable is not a number.
    """
    given = {name: environ.pop(name) for name in VARIABLES if name in environ}
    sockets = _number(given, "LISTEN_FDS") if _is_for_us(given, "LISTEN_PID", False) else 0
    usec = _number(given, "WATCHDOG_USEC") if _is_for_us(given, "WATCHDOG_PID", True) else 0
    return SystemdEnvironment(
        range(LISTEN_FDS_START, LISTEN_FDS_START + sockets),
        given.get("NOTIFY_SOCKET") or None,
        usec / 1e6 or None,
    )


def _is_for_us(given: Mapping[str, str], pid: str, unless_said: bool) -> bool:
    """True if a variable with a process id names this process, and not one of its ancestors."""
    return given[pid] == str(os.getpid()) if pid in given else unless_said


def _number(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "0")
    if not (text.isascii() and text.isdecimal()):
        raise StartupError(f"The variable {name} must be a whole number from 0, not {text!r}.")
    return int(text)


@implementer(IListeningSocket)
class ActivatedSocket:
    """A socket that systemd has opened, and keeps open after the daemon ends.

    :param descriptor: its descriptor.
    :raises SocketError: it is not a listening UNIX stream socket.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        family, kind = self._socket.family, self._socket.type
        listens = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if (family, kind) != (socket.AF_UNIX, socket.SOCK_STREAM) or not listens:
            self._socket.close()
            raise SocketError(
                f"The descriptor from systemd is no listening UNIX socket: {UNIT_RULE}."
            )

    @property
    def path(self) -> Path:
        """See :class:`IListeningSocket`."""
        return Path(os.fsdecode(self._socket.getsockname()).replace("\0", "@"))

    def open(self) -> socket.socket:
        """See :meth:`IListeningSocket.open`."""
        return self._socket

    def unlink(self) -> None:
        """Do nothing: the file belongs to systemd (systemd.socket(5))."""

    def close(self) -> None:
        """Do nothing: a client that connects now waits for the next daemon."""


def activated_socket(descriptors: Sequence[int]) -> ActivatedSocket | None:
    """Adopt the socket that systemd passed; None if it passed none.

    :raises SocketError: there are several, or it is of the wrong kind.
    """
    if len(descriptors) > 1:
        raise SocketError(f"systemd passed {len(descriptors)} sockets: {UNIT_RULE}.")
    try:
        return ActivatedSocket(descriptors[0]) if descriptors else None
    except OSError as error:
        raise SocketError(
            f"The descriptor {descriptors[0]} from systemd is no socket ({error.strerror}):"
            f" {UNIT_RULE}."
        ) from None


class NotifySocket:
    """Sends notifications to systemd. It never raises and never waits: serving comes first.

    :param address: a path, or, after ``@``, a name in the abstract namespace.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def notify(self, state: Mapping[str, str]) -> None:
        """Send assignments, such as ``{"READY": "1"}``."""
        lines = (f"{name}={value.translate(_CONTROL)}" for name, value in state.items())
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            _log.warn("systemd could not be told {news}: {error}", news=state, error=error)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
