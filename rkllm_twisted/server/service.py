"""Runs the daemon's socket: as many descriptors as its clients need, then the endpoint."""

from __future__ import annotations

import resource

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory

from rkllm_twisted.errors import SocketError
from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.state import RESERVED_CONNECTIONS

#: Descriptors for the library, which opens many files, the log, and what else a process has open.
SPARE_DESCRIPTORS = 256


def descriptors_for(clients: int) -> int:
    """Return how many descriptors it takes to serve so many clients, and to refuse as many."""
    return 2 * clients + RESERVED_CONNECTIONS + SPARE_DESCRIPTORS


def raise_limit(needed: int) -> None:
    """Raise the process's limit of descriptors, if it is lower.

    It is raised no further than that: there are programs that close every possible descriptor.

    :raises SocketError: the system's hard limit forbids it, and what to do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SocketError(
            f"So many clients need {needed} file descriptors and this process may have {hard}:"
            " lower --max-clients, or raise the limit (ulimit -Hn, or systemd's LimitNOFILE)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class UNIXSocketService(StreamServerEndpointService):
    """Listens on the daemon's endpoint while it runs; a socket that cannot be opened stops it.

    Twisted's service logs the error and runs on, without a socket.

    :param descriptors: how many the process must be allowed to have open.
    """

    endpoint: RKLLMServerEndpoint

    def __init__(
        self, endpoint: RKLLMServerEndpoint, factory: IProtocolFactory, descriptors: int = 0
    ) -> None:
        super().__init__(endpoint, factory)
        self._descriptors = descriptors
        self._listens = False

    def privilegedStartService(self) -> None:
        """Open the socket and listen, unless that is done.

        :raises SocketError: the socket is in use or cannot be opened, and what to do.
        """
        if not self._listens:
            raise_limit(self._descriptors)
            self.endpoint.open()
            super().privilegedStartService()
            self._listens = True

    def startService(self) -> None:
        """Listen, unless that was done with more rights. May be called again after a stop."""
        self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Take no more connections and remove the socket. The connections go on."""
        if not self._listens:
            Service.stopService(self)
            return succeed(None)
        self._listens = False
        stopped: Deferred[None] = super().stopService()
        return stopped
