"""Starts and stops the HTTP service: the ports, then the connections, then the daemons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.errors import SocketError, StartupError
from rkllm_twisted.http.daemons import Daemons
from rkllm_twisted.http.keys import KeyRing
from rkllm_twisted.http.resource import APIResource
from rkllm_twisted.http.site import ServiceSite

_log = Logger("rkllm.http")

#: The seconds that answers under way may take once the service stops.
DRAIN_S = 5.0


class HTTPService(Service):
    """Serves HTTP.

    :param endpoints: their descriptions, for errors, and the endpoints to listen on.
    :param daemon: a daemon in this process, which starts before it and stops after it.
    :ivar site: the site, for endpoints of an application's own.
    :ivar resource: what answers; an application may put it into a site of its own.
    :ivar daemons: the daemons behind it.
    :ivar keys: the API keys.
    :ivar ports: what listens, once the service has started.
    """

    def __init__(
        self,
        site: ServiceSite,
        resource: APIResource,
        daemons: Daemons,
        keys: KeyRing,
        endpoints: Mapping[str, IStreamServerEndpoint],
        daemon: IService | None = None,
    ) -> None:
        self.daemon = daemon
        self.resource = resource
        self.daemons = daemons
        self.ports: list[Any] = []
        self.site = site
        self.keys = keys
        self._endpoints = endpoints

    def privilegedStartService(self) -> None:
        """Listen, so that a low port can be had.

        :raises SocketError: a port cannot be had; the text says which.
        """
        super().privilegedStartService()
        if self.daemon is not None:
            self.daemon.privilegedStartService()
        for description, endpoint in self._endpoints.items():
            failures: list[Failure] = []
            endpoint.listen(self.site).addCallbacks(self._listens, failures.append)
            if failures:
                raise _listen_error(description, failures[0])

    def startService(self) -> None:
        """Listen, unless that has been done."""
        super().startService()
        if not self.ports:
            self.privilegedStartService()
        if self.daemon is not None:
            self.daemon.startService()

    def _listens(self, port: Any) -> None:
        self.ports.append(port)
        address = port.getHost()
        where = getattr(address, "name", None) or f"{address.host}:{address.port}"
        _log.info("listening on {address}", address=where)

    def stopService(self) -> Deferred[None]:
        """Stop listening, let the answers under way end for a while, and leave the daemons."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self.ports = self.ports, []
        await gatherResults([maybeDeferred(port.stopListening) for port in ports])
        await self.site.close_all(DRAIN_S)
        await self.daemons.close()
        if self.daemon is not None:
            await maybeDeferred(self.daemon.stopService)

    def summary(self) -> str:
        """Return what it does, in a line for people."""
        count = len(self.resource.running)
        return f"answers under way: {count}; connections: {self.site.connection_count}"

    def is_alive(self) -> bool:
        """Return True: what can hang is the reactor, and then nothing asks."""
        return True

    def reload_keys(self) -> None:
        """Read the file of keys again; if it is wrong, the keys stay as they are."""
        try:
            count = self.keys.reload()
        except StartupError as error:
            _log.error("the API keys stay as they were: {error}", error=error)
        else:
            _log.info("{count} API keys are in use", count=count)


def _listen_error(description: str, failure: Failure) -> SocketError:
    error = failure.value
    reason = error.socketError if isinstance(error, CannotListenError) else error
    text = getattr(reason, "strerror", None) or str(reason)
    return SocketError(f"--listen {description}: {text.rstrip('.')}; name another with --listen.")
