"""The bridge of a board as a service: joins the fleet, offers what the daemon does, leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.client.endpoint import Address
from rkllm_twisted.fleet.errors import FleetError
from rkllm_twisted.fleet.interfaces import IEngine, IWatcher
from rkllm_twisted.fleet.values import BoardState, Invocation, Payload, board_uri, model_uri
from rkllm_twisted.fleet_service.bridge import Bridge
from rkllm_twisted.fleet_service.fleet_call import CallFailed
from rkllm_twisted.fleet_service.messages import call_request, refusal_of, run_request
from rkllm_twisted.rpc.access_log import one_line

#: The seconds that a run may continue once the bridge stops.
LEAVE_S = 60.0

_log = Logger("rkllm.fleet")

ServeCall = Callable[[Invocation], Deferred[Payload]]


@implementer(IWatcher)
class BoardService(Service):
    """Joins a board to a fleet.

    :param engine: the fleet's, of this board; its name is the board's.
    :param daemon: the address of the board's daemon.
    :param model: see :class:`Bridge`.
    :param celsius: see :class:`Bridge`.
    :ivar bridge: what is between the fleet and the daemon.
    """

    def __init__(
        self,
        reactor: Any,
        engine: IEngine,
        daemon: Address | None = None,
        model: str | None = None,
        celsius: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.engine = engine
        self.bridge = Bridge(reactor, engine.name, daemon, self._publish, model, celsius)
        self._reactor = reactor
        self._offers: dict[str, ServeCall] = {}
        self._wanted: dict[str, ServeCall] = {}
        self._is_offering = False
        self._said = ""  # why it is not in the fleet
        self._when_offered: list[Deferred[None]] = []
        self._call_uri = board_uri(engine.name, "call")
        engine.watch(self)

    def startService(self) -> None:
        """Watch the daemon, and join."""
        super().startService()
        self._want(None)
        self.bridge.start()
        self.engine.join().addErrback(self._not_joined)

    def _not_joined(self, failure: Failure) -> None:
        failure.trap(FleetError, CancelledError)

    def stopService(self) -> Deferred[None]:
        """Offer nothing more, let the run under way end, and leave."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        idle = Deferred.fromCoroutine(self.bridge.leave())
        try:
            await idle.addTimeout(LEAVE_S, self._reactor)
        except (CancelledError, DeferredTimeout):
            _log.warn("a run is under way still; it is ended")
        self._wanted = {}
        await self._offer_all()
        await maybeDeferred(self.engine.leave)
        await self.bridge.stop()

    # What the fleet gets

    def _publish(self, state: Mapping[str, Any]) -> None:
        self.engine.announce(state)
        self._want(state["offered"])

    def _want(self, model: str | None) -> None:
        """Offer a model, and nothing else but what administrators need."""
        own: dict[str, ServeCall] = {self._call_uri: self._serve_call}
        if model is not None:
            own[board_uri(self.engine.name, "run")] = self._serve_run
            own[model_uri(model)] = self._serve_run
        self._wanted = own
        self._offer_all()

    def _offer_all(self) -> Deferred[None]:
        """Withdraw and offer until what is wanted is in force."""
        done: Deferred[None] = Deferred()
        self._when_offered.append(done)
        if not self._is_offering:
            self._is_offering = True
            Deferred.fromCoroutine(self._settle()).addBoth(self._settled)
        return done

    async def _settle(self) -> None:
        while self._offers.keys() != self._wanted.keys():
            for uri in [*(self._offers.keys() - self._wanted.keys())]:
                del self._offers[uri]
                await self.engine.withdraw(uri)
            for uri in [*(self._wanted.keys() - self._offers.keys())]:
                serve = self._offers[uri] = self._wanted[uri]
                is_shared = not uri.startswith(board_uri(self.engine.name, ""))
                offering = self.engine.offer(uri, serve, 1 if is_shared else None)
                offering.addErrback(self._not_offered, uri)

    def _settled(self, result: object) -> None:
        self._is_offering = False
        if isinstance(result, Failure):
            _log.failure("offering failed", failure=result)
        waiting, self._when_offered = self._when_offered, []
        for one in waiting:
            if not one.called:
                one.callback(None)

    def _not_offered(self, failure: Failure, uri: str) -> None:
        """Go on without an offer that the router refuses."""
        if failure.check(FleetError):
            _log.error("{uri} is not offered: {error}", uri=uri, error=failure.value)
        elif not failure.check(CancelledError):
            _log.failure("{uri} is not offered", failure=failure, uri=uri)

    def _serve_run(self, invocation: Invocation) -> Deferred[Payload]:
        return Deferred.fromCoroutine(self._run(invocation))

    async def _run(self, invocation: Invocation) -> Payload:
        request = run_request(invocation.payload)
        default = f"of {invocation.caller}"
        began, method = self._reactor.seconds(), request.method[:100]

        def on_results(results: Sequence[Mapping[str, Any]]) -> None:
            for result in results:
                invocation.progress(result)

        try:
            result = await self.bridge.runs.run(request, on_results, default)
        except CallFailed as failed:
            raise refusal_of(failed, self.engine.name) from None
        finally:
            seconds = round(self._reactor.seconds() - began, 3)
            name = one_line(request.call[:100]) or default
            _log.info(
                "{call}: {method} over after {seconds} s", call=name, method=method, seconds=seconds
            )
        return {"board": self.engine.name, "result": result}

    def _serve_call(self, invocation: Invocation) -> Deferred[Payload]:
        return Deferred.fromCoroutine(self._call(invocation))

    async def _call(self, invocation: Invocation) -> Payload:
        request = call_request(invocation.payload)

        def on_results(results: Sequence[Mapping[str, Any]]) -> None:
            for result in results:
                invocation.progress(result)

        result = await self.bridge.call(request.method, request.params, on_results)
        return {"board": self.engine.name, "result": result}

    # What the engine reports

    def connected(self) -> None:
        """See :class:`IWatcher`."""
        _log.info("{board} has joined the fleet", board=self.engine.name)
        self._said = ""

    def disconnected(self, reason: FleetError) -> None:
        """See :class:`IWatcher`."""
        if str(reason) == self._said:
            return  # another attempt has failed
        self._said = str(reason)
        _log.warn(
            "{board} is not in the fleet now: {reason}", board=self.engine.name, reason=reason
        )

    def board_changed(self, board: str, state: BoardState) -> None:
        """See :class:`IWatcher`. A board is told of none."""

    def board_left(self, board: str) -> None:
        """See :class:`IWatcher`. A board is told of none."""

    def summary(self) -> str:
        """Return what it does, in a line for people."""
        state = self.bridge.state or {}
        joined = "" if self.engine.joined else "the router cannot be reached; "
        model = state.get("offered") or "no model"
        return f"{joined}offering {model}; runs under way: {self.bridge.runs.under_way}"

    def is_alive(self) -> bool:
        """Return True: what can hang is the reactor, and then nothing asks."""
        return True
