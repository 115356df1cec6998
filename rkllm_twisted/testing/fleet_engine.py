"""A member of the fleet in memory, see :mod:`rkllm_twisted.testing.fleet`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import InternalError, RPCError
from rkllm_twisted.fleet import errors
from rkllm_twisted.fleet.access import allowed
from rkllm_twisted.fleet.interfaces import IEngine
from rkllm_twisted.fleet.payloads import checked_state, error_of, rpc_error, size_checked
from rkllm_twisted.fleet.values import (
    BoardState,
    Invocation,
    Offer,
    Payload,
    Role,
    Serve,
    checked_name,
)

_log = Logger("rkllm.fleet")


def copied(payload: Payload) -> Payload:
    """Return what a network would deliver: no object is shared between members."""
    return msgspec.json.decode(size_checked(payload))


@attrs.define(eq=False)
class _OfferInMemory:
    serve: Serve
    concurrency: int | None
    in_force: Deferred[None]
    is_open: bool = False


@attrs.define(eq=False)
class _CallInMemory:
    """One call under way.

    :param is_over: True if the caller has its answer.
    """

    uri: str
    caller: InMemoryEngine
    server: InMemoryEngine
    on_progress: Callable[[Payload], object] | None
    answer: Deferred[Payload] = attrs.field(init=False)
    served: Deferred[Any] | None = None
    is_over: bool = False

    def __attrs_post_init__(self) -> None:
        self.answer = Deferred(lambda _: self.abandon())

    def begin(self, serve: Serve, payload: Payload) -> Deferred[Payload]:
        self.server.serving.append(self)
        self.caller.calling.append(self)
        self.served = maybeDeferred(serve, Invocation(payload, self.caller.name, self._progress))
        self.served.addBoth(self._ended)
        return self.answer

    def abandon(self) -> None:
        """The caller has gone: end the work."""
        self.is_over = True
        self.caller.calling.remove(self)
        if self.served is not None:
            self.served.cancel()

    def lose(self, reason: errors.FleetError) -> None:
        """A connection was lost: end the work, and tell the caller."""
        self.abandon()
        self.answer.errback(reason)

    def _progress(self, payload: Payload) -> None:
        delivered = copied(payload)
        if not self.is_over and self.on_progress is not None:
            self.on_progress(delivered)

    def _ended(self, result: Any) -> None:
        self.server.serving.remove(self)
        self.server.open_offers()
        if self.is_over:
            return
        self.is_over = True
        self.caller.calling.remove(self)
        if not isinstance(result, Failure):
            try:
                self.answer.callback(copied(result))
            except errors.TooLarge as too_large:
                self.answer.errback(InternalError(f"The board's answer is lost: {too_large}"))
            return
        error: Any = result.value
        if not isinstance(error, RPCError):
            _log.failure("A call of {uri} has failed", result, uri=self.uri)
        self.answer.errback(rpc_error(copied(error_of(error))))


@implementer(IEngine)
class InMemoryEngine:
    """A member. Make it with :meth:`InMemoryRouter.engine`."""

    def __init__(self, router: Any, name: str, role: Role) -> None:
        self.name = checked_name(name)
        self.role = role
        self.joined = False
        self.wanted = False
        #: True if a later member of its name has its place.
        self.yields = False
        self.state: BoardState | None = None
        self.offers: dict[str, _OfferInMemory] = {}
        self.serving: list[_CallInMemory] = []
        self.calling: list[_CallInMemory] = []
        self.watcher: Any = None
        self._router = router
        self._first: Deferred[None] = Deferred(self._stop_joining)

    def watch(self, watcher: Any) -> None:
        """See :meth:`IEngine.watch`."""
        self.watcher = watcher

    def join(self) -> Deferred[None]:
        """See :meth:`IEngine.join`."""
        self.wanted = True
        first = self._first
        self._router.admit(self)
        return first

    def _stop_joining(self, _: Deferred[None]) -> None:
        self.leave()

    def leave(self) -> Deferred[None]:
        """See :meth:`IEngine.leave`."""
        self.wanted = False
        self.lose(errors.RouterLost("This member has left the fleet."), is_told=False)
        for uri in list(self.offers):
            self.withdraw(uri)
        return succeed(None)

    def offer(self, uri: str, serve: Serve, concurrency: int | None = None) -> Deferred[None]:
        """See :meth:`IEngine.offer`."""
        if uri in self.offers:
            raise ValueError(f"{self.name} offers {uri} already.")
        if not allowed(self.role.value, self.name, "register", uri):
            return fail(errors.NotPermitted(f"{self.name} may not offer {uri}."))
        in_force: Deferred[None] = Deferred(lambda _: None)
        self.offers[uri] = _OfferInMemory(serve, concurrency, in_force)
        self.open_offers()
        return in_force

    def withdraw(self, uri: str) -> Deferred[None]:
        """See :meth:`IEngine.withdraw`."""
        offer = self.offers.pop(uri, None)
        if offer is not None and not offer.in_force.called:
            offer.in_force.cancel()
        return succeed(None)

    def call(
        self, uri: str, payload: Payload, on_progress: Callable[[Payload], object] | None = None
    ) -> Deferred[Payload]:
        """See :meth:`IEngine.call`."""
        try:
            delivered = copied(payload)
            server = self._router.server_of(uri, self)
        except errors.FleetError as error:
            return fail(error)
        return _CallInMemory(uri, self, server, on_progress).begin(
            server.offers[uri].serve, delivered
        )

    def announce(self, state: BoardState) -> None:
        """See :meth:`IEngine.announce`."""
        self.state = checked_state(state)
        if self.joined:
            self._router.show(self)

    def list_offers(self) -> Deferred[tuple[Offer, ...]]:
        """See :meth:`IEngine.list_offers`."""
        if not self.joined:
            return fail(errors.RouterLost("There is no connection to the router."))
        if self.role is Role.BOARD:
            return fail(errors.NotPermitted("A board may not list the offers of a fleet."))
        return succeed(self._router.list_offers())

    def open_offers(self) -> None:
        """Put in force what can be."""
        for uri, offer in list(self.offers.items()):
            is_held = offer.concurrency is not None and any(c.uri == uri for c in self.serving)
            if not self.joined or offer.is_open or is_held:
                continue
            self._router.take_from_others(uri, self, offer.concurrency)
            offer.is_open = True
            if not offer.in_force.called:
                offer.in_force.callback(None)

    def has_place(self, uri: str) -> bool:
        """Return True if it can take a call of a URI that it offers."""
        limit = self.offers[uri].concurrency
        return limit is None or sum(call.uri == uri for call in self.serving) < limit

    def enter(self) -> None:
        """The router has accepted it."""
        self.joined = True
        if self.watcher is not None:
            self.watcher.connected()
        self.open_offers()
        if not self._first.called:
            self._first.callback(None)

    def refuse(self, reason: errors.FleetError) -> None:
        """An attempt to join has failed."""
        if self.watcher is not None:
            self.watcher.disconnected(reason)
        if isinstance(reason, errors.NotPermitted) and not self._first.called:
            self._first.errback(reason)

    def lose(self, reason: errors.FleetError, is_told: bool = True) -> None:
        """The connection has ended."""
        if not self.joined:
            return
        self.joined = False
        for offer in self.offers.values():
            offer.is_open = False
        for call in list(self.calling):
            call.lose(reason)
        for call in list(self.serving):
            if not call.is_over:
                call.lose(errors.BoardLost(f"The board {self.name} was lost during the call."))
        self._router.hide(self)
        if is_told and self.watcher is not None:
            self.watcher.disconnected(reason)
