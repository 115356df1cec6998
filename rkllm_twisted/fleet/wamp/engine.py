"""The engine over a Crossbar router."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autobahn.wamp.types import CallOptions
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.fleet.errors import FleetError, NotPermitted, RouterLost, replaced
from rkllm_twisted.fleet.interfaces import IEngine
from rkllm_twisted.fleet.payloads import checked_state
from rkllm_twisted.fleet.values import (
    BoardState,
    Offer,
    Payload,
    Role,
    Serve,
    board_uri,
    checked_name,
)
from rkllm_twisted.fleet.wamp import connection, presence
from rkllm_twisted.fleet.wamp.offers import Offers
from rkllm_twisted.fleet.wamp.session import Session
from rkllm_twisted.fleet.wamp.translation import error_from_wamp, from_text, meaning_of, to_text

_log = Logger("rkllm.fleet")
#: Seconds that a farewell may take.
_FAREWELL_SECONDS = 5.0


@implementer(IEngine)
class WAMPEngine:
    """A member of a fleet whose router is Crossbar.

    :param url: of the router: ``wss://host:port``, ``ws://host:port`` or ``unix:/path``.
    :param key: the private key, of :func:`rkllm_twisted.fleet.keys.read`.
    :param ca: the PEM file of the authority of the router's certificate; None for the system's.
    :raises StartupError: the URL or the certificate cannot be used.
    """

    def __init__(
        self, reactor: Any, url: str, name: str, role: Role, key: Any, ca: Path | None = None
    ) -> None:
        self.name = checked_name(name)
        self.role = role
        self._reactor = reactor
        self._key = key
        self._session: Any = None
        self._watcher: Any = None
        self._presence: Any = None
        self._state: str | None = None
        self._failures = 0
        #: True if the next attempt is to come late.
        self._is_refused = False
        self._has_taken_over = False
        #: True if the watcher knows why there is no connection.
        self._is_told = False
        self._offers = Offers(self._takes_over, self._replaced, self._returned)
        self._first: Deferred[None] = Deferred(self._stop_joining)
        self._url, self._why = url, ""
        endpoint, factory = connection.way_to(reactor, url, ca, self._make_session, self._failed)
        self._service = ClientService(endpoint, factory, self._delay, reactor)

    @property
    def joined(self) -> bool:
        """See :class:`IEngine`."""
        return self._session is not None

    def watch(self, watcher: Any) -> None:
        """See :meth:`IEngine.watch`."""
        self._watcher = watcher

    def join(self) -> Deferred[None]:
        """See :meth:`IEngine.join`."""
        self._service.startService()
        return self._first

    def leave(self) -> Deferred[None]:
        """See :meth:`IEngine.leave`."""
        self._offers.remove_all()
        session = self._session
        if session is not None:
            session.leave()
            self._left(session, "wamp.close.normal", "")
        if not self._service.running:
            return succeed(None)
        stopped: Deferred[Any] = self._service.stopService()
        if session is not None:
            timer = self._reactor.callLater(_FAREWELL_SECONDS, session.drop)
            stopped.addBoth(lambda _: timer.active() and timer.cancel())
        return stopped.addCallback(lambda _: None)

    def offer(self, uri: str, serve: Serve, concurrency: int | None = None) -> Deferred[None]:
        """See :meth:`IEngine.offer`."""
        return self._offers.add(uri, serve, concurrency)

    def withdraw(self, uri: str) -> Deferred[None]:
        """See :meth:`IEngine.withdraw`."""
        return self._offers.remove(uri)

    def call(
        self, uri: str, payload: Payload, on_progress: Callable[[Payload], object] | None = None
    ) -> Deferred[Payload]:
        """See :meth:`IEngine.call`."""
        if self._session is None:
            return fail(_no_connection())
        try:
            text = to_text(payload)
        except FleetError as error:
            return fail(error)
        return _call(self._session, uri, text, on_progress)

    def announce(self, state: BoardState) -> None:
        """See :meth:`IEngine.announce`."""
        is_first = self._state is None
        self._state = to_text(checked_state(state))
        if is_first:
            offered = self.offer(board_uri(self.name, "state"), self._show_state)
            offered.addErrback(self._not_shown)
        elif self._session is not None:
            self._session.publish(board_uri(self.name, "status"), self._state)

    def list_offers(self) -> Deferred[tuple[Offer, ...]]:
        """See :meth:`IEngine.list_offers`."""
        if self._session is None:
            return fail(_no_connection())
        listed = ensureDeferred(presence.list_offers(self._session))
        return listed.addErrback(_raise_meaning)

    def _show_state(self, _: Any) -> Deferred[Payload]:
        assert self._state is not None
        return succeed(from_text(self._state))

    def _not_shown(self, failure: Failure) -> None:
        if failure.check(NotPermitted):
            _log.error("The router lets no front see this board: {reason}", reason=failure.value)

    def _failed(self, why: str) -> None:
        """An attempt to connect has failed, or would if it ends now; :meth:`_delay` follows."""
        self._why = why

    def _make_session(self) -> Session:
        return Session(
            *(self.name, self.role, self._key, self._accepted, self._left),
            self._offers.unregistered,
        )

    def _accepted(self, session: Session) -> None:
        """The router has accepted this member."""
        self._session, self._failures = session, 0
        self._is_refused = self._has_taken_over = False
        if not self._offers.yields:
            self._returned()
        if self._watcher is not None and self.role is not Role.BOARD:
            self._presence = presence.Presence(session, self._watcher)
            started = ensureDeferred(self._presence.start())
            started.addErrback(self._no_presence, session)
        self._offers.connected(session)
        if not self._first.called:
            self._first.callback(None)

    def _no_presence(self, failure: Failure, session: Session) -> None:
        """Without the boards' states a front is of no use: connect again."""
        if session is self._session:
            _log.error("The boards cannot be followed: {error}", error=failure.value)
            session.drop()

    def _left(self, session: Session, reason: str, said: str) -> None:
        """The session has ended, or was refused."""
        is_said = said and not reason.startswith("wamp.close.")
        error = meaning_of(reason, said if is_said else "The connection to the router has ended.")
        is_refused = isinstance(error, NotPermitted)
        if session is self._session:
            self._session = None
            if self._presence is not None:
                self._presence.stop()
            self._offers.disconnected()
        elif not is_refused:
            return
        self._is_told, self._is_refused = True, is_refused
        if self._watcher is not None and reason != "wamp.close.normal":
            self._watcher.disconnected(error)
        if is_refused and not self._first.called:
            self._first.errback(error)

    def _takes_over(self) -> None:
        """The router still has an earlier connection of this name, perhaps one that was lost."""
        if not self._has_taken_over:
            self._has_taken_over = True
            _log.warn(
                "The router still had a connection of {name}, which this one replaces. If another"
                " process runs as {name}, give each a name and a key of its own.",
                name=self.name,
            )

    def _replaced(self) -> None:
        """A later connection of this name has come: leave the name to it until it ends."""
        session, self._session = self._session, None
        self._is_told = self._is_refused = True
        self._offers.disconnected()
        if self._watcher is not None:
            self._watcher.disconnected(replaced(self.name))
        session.drop()

    def _returned(self) -> None:
        """Report that this member has its place in the fleet."""
        if self._watcher is not None:
            self._watcher.connected()

    def _stop_joining(self, _: Deferred[None]) -> None:
        self.leave()

    def _delay(self, _: int) -> float:
        """Return the seconds before the next attempt: a connection has ended or was not made."""
        if not self._is_told and self._watcher is not None:
            why = f": {self._why}" if self._why else "."
            self._watcher.disconnected(
                RouterLost(f"The router cannot be reached at {self._url}{why}")
            )
        is_refused, self._is_told, self._is_refused = self._is_refused, False, False
        self._why = ""
        self._failures += 1
        if is_refused:
            return connection.LONGEST
        is_board = self.role is Role.BOARD
        longest = connection.LONGEST if is_board else connection.LONGEST_FRONT
        return connection.delay(self._failures, longest=longest)


def _no_connection() -> RouterLost:
    return RouterLost("There is no connection to the router.")


def _raise_meaning(failure: Failure) -> Any:
    raise error_from_wamp(failure)


def _call(
    session: Session, uri: str, text: str, on_progress: Callable[[Payload], object] | None
) -> Deferred[Payload]:
    """Call on a session; the result is the fleet's."""

    def progress(part: Any = None) -> None:
        if on_progress is not None and not answer.called:
            on_progress(from_text(part))

    def end(result: Any) -> None:
        if not answer.called:
            answer.callback(result)

    # No ``timeout``: Crossbar counts it in seconds, and the place stays taken. No ``details``:
    # a progressive result without kwargs would make autobahn close the connection.
    options = None if on_progress is None else CallOptions(on_progress=progress)
    reply, cancel = session.call_once(uri, text, options)
    answer: Deferred[Payload] = Deferred(lambda _: cancel())
    reply.addCallbacks(from_text, _raise_meaning)
    reply.addBoth(end)
    return answer
