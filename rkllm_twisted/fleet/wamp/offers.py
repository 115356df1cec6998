"""What this member offers, and keeping it registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import RegisterOptions
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from rkllm_twisted.fleet.errors import NotPermitted
from rkllm_twisted.fleet.values import Serve
from rkllm_twisted.fleet.wamp.serving import Serving
from rkllm_twisted.fleet.wamp.translation import error_from_wamp

#: What the router says about a URI that is another connection's alone.
_TAKEN = "wamp.error.procedure_already_exists"


@attrs.define(eq=False)
class _WAMPOffer:
    """A URI that is offered, or being withdrawn.

    :param registration: autobahn's, on the present session.
    :param is_stale: True if the router's count of its calls may be wrong.
    :param is_settling: True while the router is asked to change the registration.
    """

    uri: str
    serve: Serve
    concurrency: int | None
    in_force: Deferred[None] = attrs.field(factory=lambda: Deferred(lambda _: None))
    gone: Deferred[None] = attrs.field(factory=Deferred)
    registration: Any = None
    is_withdrawn: bool = False
    is_stale: bool = False
    is_settling: bool = False


class Offers:
    """The offers of one member. They are registered on each session anew.

    :param takes_over: called when URIs that are this member's alone are those of an earlier
        connection of its name, which loses them.
    :param replaced: called when a later connection of this member's name has taken them.
    :param returned: called when that one has ended, and this member has its place again.
    :ivar yields: True if a later connection has them; then this member takes none of them by force.
    """

    def __init__(
        self,
        takes_over: Callable[[], object],
        replaced: Callable[[], object],
        returned: Callable[[], object],
    ) -> None:
        self.yields = False
        self._takes_over, self._replaced, self._returned = takes_over, replaced, returned
        self._session: Any = None
        self._offers: dict[str, _WAMPOffer] = {}
        self._serving: list[Serving] = []

    def connected(self, session: Any) -> None:
        """Register everything."""
        self._session = session
        self._settle_all()

    def _settle_all(self) -> None:
        for offer in list(self._offers.values()):
            self._settle(offer)

    def unregistered(self, registration: int) -> None:
        """Take in that the router has ended a registration.

        What is this member's alone, a later connection of its name has now. The end of what is
        shared says nothing about the name.
        """
        if any(
            offer.registration is not None and offer.registration.id == registration
            for offer in self._offers.values()
            if offer.concurrency is None
        ):
            self._give_way()

    def _give_way(self) -> None:
        self.yields = True
        self._replaced()

    def disconnected(self) -> None:
        """The session is lost: end what is being served."""
        self._session = None
        for offer in self._offers.values():
            offer.registration, offer.is_stale = None, False
        for serving in list(self._serving):
            serving.disconnect()

    def add(self, uri: str, serve: Serve, concurrency: int | None) -> Deferred[None]:
        """See :meth:`~rkllm_twisted.fleet.interfaces.IEngine.offer`."""
        if uri in self._offers:
            raise ValueError(f"This member offers {uri} already.")
        offer = _WAMPOffer(uri, serve, concurrency)
        self._offers[uri] = offer
        self._settle(offer)
        return offer.in_force

    def remove(self, uri: str) -> Deferred[None]:
        """See :meth:`~rkllm_twisted.fleet.interfaces.IEngine.withdraw`."""
        offer = self._offers.pop(uri, None)
        if offer is None:
            return succeed(None)
        offer.is_withdrawn = True
        if not offer.in_force.called:
            offer.in_force.cancel()
        self._settle(offer)
        return offer.gone

    def remove_all(self) -> None:
        """Withdraw everything, without waiting."""
        for uri in list(self._offers):
            self.remove(uri)

    def _settle(self, offer: _WAMPOffer) -> None:
        if not offer.is_settling:
            offer.is_settling = True
            ensureDeferred(self._settled(offer))

    async def _settled(self, offer: _WAMPOffer) -> None:
        """Change the registration until it is what it should be."""
        try:
            while (step := self._next_step(offer)) is not None:
                await step(offer)
        except Exception:  # noqa: BLE001 - of autobahn; each means that the router did not do it
            self._failed(offer, error_from_wamp(Failure()))
        finally:
            offer.is_settling = False
        if offer.is_withdrawn and not offer.gone.called:
            offer.gone.callback(None)

    def _next_step(self, offer: _WAMPOffer) -> Callable[[_WAMPOffer], Any] | None:
        if self._session is None:
            return None
        if offer.registration is not None:
            return self._unregister if offer.is_withdrawn or offer.is_stale else None
        if offer.is_withdrawn or self._is_held(offer) or self._is_behind(offer):
            return None
        return self._register

    def _is_behind(self, offer: _WAMPOffer) -> bool:
        """Return True if the first of the own URIs has to show first that the name is free."""
        own = (one for one in self._offers.values() if one.concurrency is None)
        return self.yields and offer is not next(own, None)

    def _is_held(self, offer: _WAMPOffer) -> bool:
        """Return True if registering now would let in a second call beside one under way."""
        return offer.concurrency is not None and any(
            serving.uri == offer.uri for serving in self._serving
        )

    async def _register(self, offer: _WAMPOffer) -> None:
        def serve(text: Any = None, details: Any = None) -> Deferred[Any]:
            serving = Serving(offer.uri, lambda one: self._ended(one, offer))
            self._serving.append(serving)
            return serving.begin(offer.serve, text, details)

        session = self._session
        try:
            registration = await session.register(serve, offer.uri, options=_options(offer))
        except ApplicationError as error:
            if error.error != _TAKEN or session is not self._session:
                raise
            if self.yields:
                self._give_way()
                return
            self._takes_over()
            options = _options(offer, by_force=True)
            registration = await session.register(serve, offer.uri, options=options)
        if session is self._session:
            offer.registration = registration
            if not offer.in_force.called:
                offer.in_force.callback(None)
            if self.yields:  # the later connection has ended
                self.yields = False
                self._returned()
                self._settle_all()

    async def _unregister(self, offer: _WAMPOffer) -> None:
        registration, offer.registration = offer.registration, None
        offer.is_stale = False
        await registration.unregister()

    def _failed(self, offer: _WAMPOffer, error: BaseException) -> None:
        """The router refuses, or the session was lost: then the next one brings another try."""
        if isinstance(error, NotPermitted) and not offer.in_force.called:
            self._offers.pop(offer.uri, None)
            offer.in_force.errback(error)

    def _ended(self, serving: Serving, offer: _WAMPOffer) -> None:
        """A call has ended. Crossbar never lowers its count of one whose caller is gone."""
        self._serving.remove(serving)
        if serving.was_interrupted and offer.concurrency is not None:
            offer.is_stale = True
        for one in [offer, self._offers.get(offer.uri)]:
            if one is not None:
                self._settle(one)


def _options(offer: _WAMPOffer, by_force: bool = False) -> RegisterOptions:
    if offer.concurrency is None:
        return RegisterOptions(details_arg="details", force_reregister=by_force)
    # Only "roundrobin" looks for a member without a call; "random" ignores the limit.
    return RegisterOptions(
        details_arg="details", invoke="roundrobin", concurrency=offer.concurrency
    )
