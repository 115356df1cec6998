"""The daemon's socket as an endpoint of Twisted's, and as text: ``rkllm:/run/rkllm.sock``."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IProtocolFactory

from rkllm_twisted.interfaces import IListeningSocket
from rkllm_twisted.server.socket_file import SAME_ID, SocketFile
from rkllm_twisted.server.transport import UNIXPort

# Importing Twisted's endpoints removes systemd's variables from the environment, and the daemon
# reads them only when it has been configured.
_environment = dict(os.environ)
from twisted.internet.endpoints import UNIXServerEndpoint  # noqa: E402 - see above

os.environ.update(_environment)


class RKLLMServerEndpoint(UNIXServerEndpoint):
    """Listens on a UNIX socket that is opened safely: see :class:`SocketFile`.

    What :class:`twisted.internet.endpoints.UNIXServerEndpoint` does not: the file has its mode,
    owner and group from its first moment, a lock keeps a second daemon out, a dead daemon's socket
    is replaced, and a socket from systemd is left as it was.

    :param source: of the socket: a :class:`SocketFile`, or what systemd has opened.
    :ivar path: of the socket.
    """

    def __init__(self, reactor: Any, source: IListeningSocket) -> None:
        super().__init__(reactor, os.fspath(source.path))
        self.path: Path = source.path
        self._source = source
        self._port_reactor = reactor
        self._opened: socket.socket | None = None

    def open(self) -> None:
        """Open the socket now; :meth:`listen` accepts from it.

        :raises SocketError: the socket is in use or cannot be opened, and what to do.
        """
        if self._opened is None:
            self._opened = self._source.open()

    def listen(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - the name in Twisted's interface
    ) -> Deferred[Any]:
        """See :meth:`twisted.internet.interfaces.IStreamServerEndpoint.listen`.

        :returns: a Deferred of the port, or of a SocketError.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> UNIXPort:
        self.open()
        opened, self._opened = self._opened, None
        assert opened is not None
        try:
            port = UNIXPort(self._source, opened, factory, self._port_reactor)
            port.startListening()
        except BaseException:
            opened.close()
            self._source.close()
            raise
        return port


def endpoint_from_text(
    reactor: Any, path: str, mode: str = "0600", owner: str = "", group: str = ""
) -> RKLLMServerEndpoint:
    """Make the endpoint of a server description such as ``rkllm:/run/rkllm.sock:mode=0660``.

    :param mode: permission bits, in octal digits.
    :param owner: a user's name or number; left out: the user that the process runs as.
    :param group: likewise.
    :raises ValueError: naming the argument that cannot be used.
    """
    try:
        bits = int(mode, 8)
    except ValueError:
        raise ValueError(f"mode={mode} must be octal digits, such as 0660.") from None
    user = _number(owner, "owner", "user", lambda name: pwd.getpwnam(name).pw_uid)
    members = _number(group, "group", "group", lambda name: grp.getgrnam(name).gr_gid)
    return RKLLMServerEndpoint(reactor, SocketFile(path, bits, user, members))


def _number(text: str, argument: str, kind: str, look_up: Callable[[str], int]) -> int:
    if not text:
        return SAME_ID
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        return look_up(text)
    except KeyError:
        problem = f"{argument}={text}: this system has no {kind} of this name."
        raise ValueError(problem) from None
