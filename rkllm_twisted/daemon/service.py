"""Starts and stops the parts of the daemon in order, as one service."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from rkllm_twisted.daemon.about import summary_of
from rkllm_twisted.daemon.hosting import RuntimeHost
from rkllm_twisted.daemon.monotonic import warn_of_wall_clock
from rkllm_twisted.interfaces import INPU, IConversation
from rkllm_twisted.offload.parser import Reader
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.service import UNIXSocketService

#: The seconds that a run may continue once the daemon stops.
DRAIN_S = 10.0
#: The seconds that the NPU thread may then take to return from C.
CLOSE_GRACE_S = 3.0

_log = Logger("rkllm.daemon")


class DaemonService(MultiService):
    """Starts the socket, the NPU's thread and the runtime; stops them in the reverse order.

    :param host: the runtime and the service that keeps it.
    :param pool: the NPU's thread; this service starts and stops it.
    :param reader: parses big messages; this service stops it.
    :param model_services: what loads and unloads a model by itself.
    :ivar npu: the NPU.
    :ivar factory: its clients' connections.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        host: RuntimeHost,
        pool: ThreadPool,
        npu: INPU,
        factory: RPCFactory,
        listener: UNIXSocketService,
        reader: Reader,
        model_services: Sequence[IService] = (),
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._host = host
        self._pool = pool
        self.npu = npu
        self.factory = factory
        self._listener = listener
        self._reader = reader
        self._model_services = model_services
        listener.setServiceParent(self)

    def startService(self) -> None:
        """Open the socket, then start the rest."""
        super().startService()  # if the socket cannot open, no other part has started
        warn_of_wall_clock(self._reactor)
        self._pool.start()
        self._host.service.startService()
        runtime = self.npu.version()
        _log.info(
            "serving {library} (backend {backend}, layout {abi}: {reason}) on {path}",
            library=runtime.library,
            backend=runtime.backend,
            abi=runtime.abi,
            reason=runtime.recognised_by,
            path=self._listener.endpoint.path,
        )
        # Before the daemon accepts a client, so that requests queue behind the load.
        for service in self._model_services:
            service.startService()

    def stopService(self) -> Deferred[None]:
        """Stop accepting, wait for the run under way, destroy the model, end the thread."""
        return ensureDeferred(self._stop())

    def summary(self) -> str:
        """Return the model and the queue, in a line for people."""
        return summary_of(self.npu.status(), len(self.factory.connections))

    def is_alive(self) -> bool:
        """True if neither the runtime nor the NPU hangs."""
        return self._host.is_alive() and self.npu.status().state != "stuck"

    async def _stop(self) -> None:
        for service in self._model_services:
            service.stopService()
        await _deferred(super().stopService())
        running = self.npu.status().running
        if running is not None:
            _log.info(
                "stopping: {function} for {client} is under way; it may take {seconds:.0f} s more",
                function=running.function,
                client=_name_of(running.client),
                seconds=DRAIN_S,
            )
        with contextlib.suppress(CancelledError, DeferredTimeout):
            await self.npu.drain().addTimeout(DRAIN_S, self._reactor)
        closed = self.npu.close()
        gone = self.factory.close_all()
        if await self._returned(closed):
            self._pool.stop()
        await gone
        self._reader.stop()
        await _deferred(maybeDeferred(self._host.service.stopService))

    async def _returned(self, closed: Deferred[None]) -> bool:
        """Wait for the NPU thread; kill the runtime if it does not return in time."""
        try:
            await closed.addTimeout(CLOSE_GRACE_S, self._reactor)
        except (CancelledError, DeferredTimeout):
            ended = self._host.runtime.kill()
            _log.error(
                "the runtime did not come back within {patience:.0f} s{ended}",
                patience=CLOSE_GRACE_S,
                ended=" and was killed" if ended else "; its model is not destroyed",
            )
            return False
        return True


def _name_of(client: object) -> str:
    return f"client {client.peer.number}" if IConversation.providedBy(client) else "the daemon"


def _deferred(result: Any) -> Deferred[Any]:
    assert isinstance(result, Deferred)
    return result
