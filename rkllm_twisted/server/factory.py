"""Makes the daemon's connections, on whatever endpoint listens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Set
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from rkllm_twisted.errors import RPCError
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server import peer
from rkllm_twisted.server.fairness import IServerConnection
from rkllm_twisted.server.protocol import RPCProtocol
from rkllm_twisted.server.state import ServerState
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.messages import Message

__all__ = ["RPCFactory", "RPCProtocol"]


class RPCFactory(ServerFactory):
    """Makes the connections, counts them, and closes them all.

    It serves any stream endpoint: UNIX, TCP, TLS. Only a UNIX socket's clients have a process, a
    user and groups (:class:`rkllm_twisted.values.Peer`); those of others have a number only.

    A connection beyond the limit gets an error when its first byte has shown its framing, and is
    closed.

    :param max_clients: connected at once.
    :param admit: returns the error that a client is refused with, or None.
    :param administers: returns whether a client may call administrative methods.
    :param read_elsewhere: parses big messages while the reactor serves others, see
        :class:`rkllm_twisted.offload.parser.Reader`; without it they are parsed at once.
    :param has_reserve: returns whether a client may use one of the
        :data:`~rkllm_twisted.server.state.RESERVED_CONNECTIONS` beyond ``max_clients``; such a
        client has no share.
    :param has_gone: see :func:`rkllm_twisted.server.peer.has_gone`.
    :ivar state: what the connections share.
    """

    noisy = False

    def __init__(
        self,
        dispatcher: Dispatcher,
        reactor: IReactorTime,
        max_clients: int = 100,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        admit: Callable[[Peer], RPCError | None] = lambda _: None,
        administers: Callable[[Peer], bool] = lambda _: True,
        has_gone: Callable[[Any], bool] = peer.has_gone,
        read_elsewhere: Callable[[bytes], Deferred[Message]] | None = None,
        has_reserve: Callable[[Peer], bool] = lambda _: False,
    ) -> None:
        self.state = ServerState(
            dispatcher,
            reactor,
            max_clients,
            limits,
            admit,
            administers,
            has_gone,
            read_elsewhere,
            has_reserve,
        )
        self._numbers = itertools.count(1)

    @property
    def connections(self) -> Set[IServerConnection]:
        """The connections that are served."""
        return self.state.connections

    @property
    def refused(self) -> int:
        """The number of clients that were refused since the start."""
        return self.state.refused

    def buildProtocol(self, addr: IAddress | None) -> RPCProtocol | None:
        """Make a connection's protocol; None, which closes it, if too many are being refused.

        :param addr: a :class:`~rkllm_twisted.server.transport.ClientAddress` shows the user.
        """
        if self.state.is_crowded(peer.peer_of(0, addr)):
            self.state.refused += 1
            return None
        protocol = RPCProtocol(self.state, next(self._numbers))
        protocol.factory = self
        return protocol

    def close_all(self) -> Deferred[None]:
        """Answer everything under way with ShuttingDown, and close.

        :returns: a Deferred that fires when the last connection is closed or after ``linger``.
        """
        return self.state.close_all()
