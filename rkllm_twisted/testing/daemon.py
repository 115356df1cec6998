"""A daemon without a board: the real server, methods and queue, with a fake runtime."""

from __future__ import annotations

import functools
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import Clock
from twisted.internet.threads import blockingCallFromThread

from rkllm_twisted.abi.release import Release
from rkllm_twisted.daemon.assembly import daemon_in, factory_for, timeouts_of
from rkllm_twisted.daemon.hosting import RuntimeHost
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.self_description import describe_for
from rkllm_twisted.daemon.service import DaemonService
from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.npu.history import history_for
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.testing.answers import Answer, Faults, Reply
from rkllm_twisted.testing.memory_transport import MemoryEndpoint
from rkllm_twisted.testing.recorder import Call, Recorder
from rkllm_twisted.testing.runtime import FakeRuntime
from rkllm_twisted.testing.threads import ClockThread
from rkllm_twisted.values import SelfDescription

if TYPE_CHECKING:
    from rkllm_twisted.inference.profile import ModelProfile


@functools.cache
def background_reactor() -> Any:
    """Return a reactor that runs in a thread, for programs that have none or block their own.

    There is one for the process; the first call starts it, and it never stops.
    """
    reactor = EPollReactor()
    threading.Thread(
        target=reactor.run, args=(False,), name="rkllm-fake-reactor", daemon=True
    ).start()
    return reactor


@functools.cache
def _installed_methods() -> Mapping[str, IRPCMethod]:
    """Return the methods that are installed."""
    return find_methods()


_descriptions: dict[str, SelfDescription] = {}


def _description(release: Release) -> SelfDescription:
    """Return the description of the installed methods, which is made once for each release."""
    if release.name not in _descriptions:
        _descriptions[release.name] = describe_for(_installed_methods(), release)
    return _descriptions[release.name]


class FakeDaemon:
    """Takes the place of ``twistd rkllm`` for a program under test.

    :param answers: a prompt, or a pattern that matches somewhere in one -> the reply.
    :param default: the reply to any other prompt.
    :param faults: a method, e.g. ``rkllm.init`` -> the fault of each call, or a sequence of faults,
        one for each call; None in it is a call that succeeds. The last one repeats. The fault of a
        run is a part of its answer.
    :param model: the path of a model that is loaded from the start; None means none, as in the
        real daemon.
    :param kind: the purpose of each model, e.g. ``embedding``; None means that of its files, and
        chat if there are none.
    :param options: options of ``twistd rkllm``, e.g. ``["--queue", "1"]``.
    :param methods: methods to add to those that are installed, such as a plugin under test.
    :param release: the release of the fake runtime.
    :param reactor: the clock of the connections in memory; None means a new clock, which stands
        still until :meth:`flush` or :meth:`advance`.
    :param on_call: called with each :class:`Call` before it is answered.
    :ivar answers: the answers, which may be changed at any time.
    :ivar faults: the faults, which may be changed at any time.
    :ivar calls: the calls of all clients, in order.
    """

    def __init__(
        self,
        answers: Mapping[str | re.Pattern[str], Reply] | None = None,
        default: Reply = Answer(),  # noqa: B008 - a frozen value
        *,
        faults: Faults | None = None,
        model: str | None = None,
        kind: str | None = None,
        options: Sequence[str] = (),
        methods: Sequence[Any] = (),
        release: str = "1.3.0",
        reactor: Any = None,
        on_call: Callable[[Call], object] = lambda _: None,
    ) -> None:
        self.answers = dict(answers or {})
        self.faults = dict(faults or {})
        self.calls: list[Call] = []
        self._on_call = on_call
        self._default = default
        self._model = model
        self._kind = kind
        self._options = options
        self._methods = methods
        self._release = release
        self._clock = Clock() if reactor is None else reactor
        self._memory: tuple[ThreadNPU, RPCFactory] | None = None

    # In memory

    def endpoint(self) -> MemoryEndpoint:
        """Return an endpoint that connects any Twisted client in memory; no reactor has to run."""
        if self._memory is None:
            self._memory = self._in_memory()
        return MemoryEndpoint(self._clock, self._memory[1])

    def flush(self) -> None:
        """Make all calls that are due now."""
        self.advance(0)

    def advance(self, seconds: float) -> None:
        """Advance the clock of the connections in memory."""
        self._clock.advance(seconds)

    def close(self) -> None:
        """Close the connections in memory, as a daemon that stops; clients may connect again."""
        if self._memory is not None:
            (npu, factory), self._memory = self._memory, None
            npu.close()
            factory.close_all()
            if isinstance(self._clock, Clock):
                self.flush()

    def __enter__(self) -> FakeDaemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_memory(self) -> tuple[ThreadNPU, RPCFactory]:
        options = self._parsed("(memory)")
        thread = ClockThread(self._clock)
        runtime = self._runtime(
            lambda: thread.from_thread(_hang_up, npu, factory),
            pace=thread.pace,
            wait=thread.sleep,
            wake=thread.wake,
        )
        history = history_for(runtime, options["history"])
        npu = ThreadNPU(runtime, thread.in_thread, thread.from_thread, options["queue"], history)
        npu.set_timeouts(self._clock, timeouts_of(options))
        describe = None if self._methods else partial(_description, runtime.release)
        methods = self._all_methods()
        factory = factory_for(
            *(npu, options, methods, self._clock),
            describe=describe,
            adapt_profile=partial(self._adapted, runtime),
        )
        self._record(factory)
        return npu, factory

    # On a socket

    @contextmanager
    def listening(self, path: str | None = None) -> Iterator[str]:
        """Serve on a UNIX socket, in a thread, until the end of the context.

        Entering it again is like starting the daemon again.

        :param path: the socket's path; None means a path in a new directory.
        :returns: the path, for a ``with``.
        :raises StartupError: as the real daemon, e.g. if the socket is in use.
        """
        with tempfile.TemporaryDirectory(prefix="rkllm-fake-") as directory:
            reactor = background_reactor()
            where = path or str(Path(directory) / "rkllm.sock")
            service = blockingCallFromThread(reactor, self.service, where, reactor)
            blockingCallFromThread(reactor, service.startService)
            try:
                yield where
            finally:
                stop: Callable[[], Any] = service.stopService
                blockingCallFromThread(reactor, stop)

    def service(self, path: str, reactor: Any) -> FakeService:
        """Return the daemon on a socket as a service, for a program with its own reactor."""
        runtime = self._runtime(
            lambda: reactor.callFromThread(_hang_up, service.daemon.npu, service.daemon.factory)
        )
        daemon = daemon_in(
            RuntimeHost(runtime, Service(), lambda: True),
            self._parsed(path),
            self._all_methods(),
            reactor,
            adapt_profile=partial(self._adapted, runtime),
        )
        self._record(daemon.factory)
        service = FakeService(daemon, runtime)
        return service

    def _all_methods(self) -> Mapping[str, IRPCMethod]:
        added = find_methods(self._methods)
        for method in self._methods:
            if not any(method is one for one in added.values()):
                raise TypeError(f"{method!r} is not a usable method; the log has the reason.")
        return {**_installed_methods(), **added}

    def _parsed(self, path: str) -> Options:
        options = Options()
        options.parseOptions([*self._options, "--socket", path])
        return options

    def _adapted(self, runtime: FakeRuntime, profile: ModelProfile) -> ModelProfile:
        """Return what is known of a model, with the words that the runtime has as tokens."""
        chat = profile.chat
        if chat.vocabulary is not None or chat.renderer is None:
            chat = attrs.evolve(chat, vocabulary=runtime.vocabulary)
        return attrs.evolve(profile, chat=chat, kind=self._kind or profile.kind)

    def _runtime(self, disconnect: Callable[[], object], **how: Any) -> FakeRuntime:
        runtime = FakeRuntime(
            self.answers,
            default=self._default,
            faults=self.faults,
            release=self._release,
            disconnect=disconnect,
            killable=True,
            **how,
        )
        runtime.load(self._model)
        return runtime

    def _record(self, factory: RPCFactory) -> None:
        state = factory.state
        state.dispatcher = Recorder(state.dispatcher, self._record_call)
        state.read_elsewhere = None  # needs a reactor that handles SIGCHLD

    def _record_call(self, call: Call) -> None:
        self.calls.append(call)
        self._on_call(call)


class FakeService(Service):
    """A fake daemon on a socket. It stops at once, even if a call hangs.

    :ivar daemon: the real service that it contains.
    """

    def __init__(self, daemon: DaemonService, runtime: FakeRuntime) -> None:
        self.daemon = daemon
        self._runtime = runtime

    def startService(self) -> None:
        """Start to serve."""
        super().startService()
        self.daemon.startService()

    def stopService(self) -> Deferred[None]:
        """End the current call and stop."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        closed = self.daemon.npu.close()
        self._runtime.kill()
        await closed
        await self.daemon.stopService()


def _hang_up(npu: ThreadNPU, factory: RPCFactory) -> None:
    """Close the connection that has sent the current call."""
    running = npu.status().running
    for connection in list(factory.connections):
        if running is not None and connection.conversation is running.client:
            connection.transport.loseConnection()
