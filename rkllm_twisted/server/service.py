"""Runs the daemon's socket: as many descriptors as its clients need, then the endpoint."""

from __future__ import annotations

import resource
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure

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


class UNIXSocketService(Service):
    """Listens on the daemon's endpoint while it runs; a socket that cannot be opened stops it.

    Twisted's own service for endpoints logs the error and runs on, without a socket. Its module
    also imports a state machine for clients, which each start would pay for.

    :param descriptors: how many the process must be allowed to have open.
    :ivar endpoint: as given.
    """

    def __init__(
        self, endpoint: RKLLMServerEndpoint, factory: IProtocolFactory, descriptors: int = 0
    ) -> None:
        self.endpoint = endpoint
        self._factory = factory
        self._descriptors = descriptors
        self._listening: Deferred[Any] | None = None

    def privilegedStartService(self) -> None:
        """Open the socket and listen, unless that is done.

        :raises SocketError: the socket is in use or cannot be opened, and what to do.
        """
        super().privilegedStartService()
        if self._listening is None:
            raise_limit(self._descriptors)
            failures: list[Failure] = []
            listening: Deferred[Any] = self.endpoint.listen(self._factory)
            listening.addErrback(failures.append)  # it fails at once, or never
            for failure in failures:
                failure.raiseException()
            self._listening = listening

    def startService(self) -> None:
        """Listen, unless that was done with more rights. May be called again after a stop."""
        self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Take no more connections and remove the socket. The connections go on."""
        super().stopService()
        listening, self._listening = self._listening, None
        if listening is None:
            return succeed(None)
        return listening.addCallback(lambda port: port.stopListening())
