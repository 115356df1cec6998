"""The daemon as a whole: what it says of itself, and in which order its parts start and stop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from rkllm_twisted import __version__
from rkllm_twisted.daemon.hosting import RuntimeHost
from rkllm_twisted.interfaces import INPU, IConversation, IDaemon
from rkllm_twisted.offload.parser import Reader
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.service import UNIXSocketService
from rkllm_twisted.systemd.service import summary_of
from rkllm_twisted.values import SelfDescription

#: Seconds that the run under way may go on once the daemon stops, and then to come back from C.
DRAIN, PATIENCE = 10.0, 3.0


@implementer(IDaemon)
class About:
    """What ``server.version`` and ``server.status`` tell.

    :param clients: how many connections there are now.
    :param description: see :attr:`IDaemon.description`.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        npu: INPU,
        clients: Callable[[], int],
        description: SelfDescription,
    ) -> None:
        self.description = description
        self._reactor = reactor
        self._npu = npu
        self._clients = clients
        self._started = reactor.seconds()

    def version(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.version`."""
        return {"version": __version__, "runtime": attrs.asdict(self._npu.version())}

    def status(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.status`."""
        return {
            **attrs.asdict(self._npu.status(), value_serializer=_by_number),
            "backend": self._npu.version().backend,
            "clients": self._clients(),
            "uptime_s": round(self._reactor.seconds() - self._started, 3),
            "pid": os.getpid(),
        }


class DaemonService(MultiService):
    """Starts the runtime's home, the NPU's thread and the socket; stops them in the other order.

    :param home: where the runtime lives.
    :param pool: the NPU's thread; this service starts and stops it.
    :param reader: of big messages; this service stops it.
    :ivar npu: the NPU.
    :ivar factory: its clients' connections.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        home: RuntimeHost,
        pool: ThreadPool,
        npu: INPU,
        factory: RPCFactory,
        listener: UNIXSocketService,
        reader: Reader,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._home = home
        self._pool = pool
        self.npu = npu
        self.factory = factory
        self._listener = listener
        self._reader = reader
        listener.setServiceParent(self)

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # the socket: where it is refused, nothing has begun
        self._pool.start()
        self._home.service.startService()
        runtime = self.npu.version()
        self.log.info(
            "serving {library} (backend {backend}, layout {abi}: {reason}) on {path}",
            library=runtime.library,
            backend=runtime.backend,
            abi=runtime.abi,
            reason=runtime.recognised_by,
            path=self._listener.path,
        )

    def stopService(self) -> Deferred[None]:
        """Stop accepting, let the run under way end, destroy the model, end the thread."""
        return ensureDeferred(self._stop())

    def summary(self) -> str:
        """The model and the queue, in a line for people."""
        return summary_of(self.npu.status(), len(self.factory.connections))

    def is_fresh(self) -> bool:
        """Does the runtime move, so that there is hope for its clients?"""
        return self._home.is_fresh() and self.npu.status().state != "stuck"

    async def _stop(self) -> None:
        await _deferred(super().stopService())
        with contextlib.suppress(CancelledError, TooLate):
            await self.npu.drain().addTimeout(DRAIN, self._reactor)
        closed = self.npu.close()
        gone = self.factory.close_all()
        if await self._comes_back(closed):
            self._pool.stop()
        await gone
        self._reader.stop()
        await _deferred(maybeDeferred(self._home.service.stopService))

    async def _comes_back(self, closed: Deferred[None]) -> bool:
        """Wait for the NPU thread, at last with the runtime ended by force."""
        try:
            await closed.addTimeout(PATIENCE, self._reactor)
        except (CancelledError, TooLate):
            ended = self._home.runtime.kill()
            self.log.error(
                "the runtime did not come back within {patience:.0f} s{ended}",
                patience=PATIENCE,
                ended=" and was killed" if ended else "; its model is not destroyed",
            )
            return False
        return True


def _by_number(_: object, field: Any, value: Any) -> Any:
    """Name a client of the NPU by its connection's number; what is no connection has none."""
    if field is not None and field.name == "client":
        return value.peer.number if IConversation.providedBy(value) else None
    return value


def _deferred(result: Any) -> Deferred[Any]:
    assert isinstance(result, Deferred)
    return result
