"""Connects to a UNIX socket, and reads from it without its ancillary data.

Twisted's transports look for descriptors that the peer passes, with a call of recvmsg and five
functions of Python for each read. A daemon passes none, and none that a false one passes is taken.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet import main, unix


class PlainTransport(unix.Client):
    """Reads bytes only."""

    def doRead(self) -> Any:
        """Read once; see :class:`twisted.internet.interfaces.IReadDescriptor`."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None


class _Connector(unix.Connector):
    def _makeTransport(self) -> PlainTransport:  # type: ignore[override]  # Twisted says TCP's
        return PlainTransport(self.address, self, self.reactor, self.checkPID)


@attrs.frozen
class PlainReads:
    """What :class:`twisted.internet.endpoints.UNIXClientEndpoint` uses of a reactor."""

    reactor: Any

    def connectUNIX(
        self,
        address: str,
        factory: Any,
        timeout: float,
        checkPID: bool,  # noqa: N803 - Twisted's name
    ) -> _Connector:
        """See :class:`twisted.internet.interfaces.IReactorUNIX`."""
        connector = _Connector(address, factory, timeout, self.reactor, checkPID)
        connector.connect()
        return connector
