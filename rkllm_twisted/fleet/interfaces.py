"""The interface between the fleet's services and the engine that carries their calls.

The bridge on a board and the front beside the clients know :class:`IEngine` only. Two engines
provide it: :mod:`rkllm_twisted.fleet.wamp`, over a Crossbar router, and the fake of
:mod:`rkllm_twisted.testing.fleet`, which needs no network. One contract suite,
``tests/support/engine_contract.py``, holds both to what is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from rkllm_twisted.fleet.errors import FleetError
from rkllm_twisted.fleet.values import BoardState, Invocation, Offer, Payload


class IEngine(Interface):
    """One member's place in a fleet: its connection, its offers and its calls.

    Offers, the announced state and the watcher stay in force through lost connections: after each
    the engine connects again, with a random delay that grows from 0.5 to 30 s, or to 5 s for a
    front, and puts them in force again. After a refusal the delay is 30 s for each role. What was
    under way when the connection was lost does not continue: calls fail, and what is being served
    is cancelled.
    """

    name = Attribute("str: the member's name. A board offers its own URIs by it.")
    role = Attribute("The member's :class:`~rkllm_twisted.fleet.values.Role`.")
    joined = Attribute("bool: True if there is a connection that the router has accepted.")

    def watch(watcher: Any) -> None:
        """Set the :class:`IWatcher`. Call it at most once, before :meth:`join`."""

    def join() -> Deferred[None]:
        """Connect, and remain connected until :meth:`leave`. Call it once.

        :returns: fires when joined for the first time. It fails with
            :exc:`~rkllm_twisted.fleet.errors.NotPermitted` if the router refuses the key or the
            name before that. The engine tries again in either case, every 30 s after a refusal: the
            operator may add the key later. Cancelling it is the same as :meth:`leave`.
        """

    def leave() -> Deferred[None]:
        """End every offer and the connection; what is under way fails as with a lost connection.

        For a quiet end, withdraw the offers first and wait for the runs that are being served.

        :returns: fires when the connection is closed, at the latest after 5 s. It never fails, and
            further calls are harmless.
        """

    def offer(
        uri: str,
        serve: Callable[[Invocation], Deferred[Payload]],
        concurrency: int | None = None,
    ) -> Deferred[None]:
        """Serve the calls of a URI until :meth:`withdraw`.

        :param serve: called with each :class:`~rkllm_twisted.fleet.values.Invocation`. Its Deferred
            fires with the final result, or fails with an
            :class:`~rkllm_twisted.errors.RPCError`, which the caller gets unchanged; any other
            exception is logged, and the caller gets an InternalError. It is cancelled if the caller
            cancels, leaves or loses its connection, or if the own connection is lost. Until it has
            fired, the call counts as under way.
        :param concurrency: None: the URI is this member's alone, and calls are not counted; if an
            earlier connection of the same name has it, that is replaced: a warning is logged here,
            and the other is disconnected with NotPermitted. It tries every 30 s whether the name is
            free again, without replacing anyone. 1: members share the URI, a call goes to one of
            those that have none, by turns, and fails with BoardsBusy if there is none. Counts are
            per URI. No caller that leaves, and no cancelled call, takes a member's place for longer
            than its ``serve`` takes to end. While a call of an earlier offer of this URI is being
            served, the offer is not in force.
        :returns: fires when the offer is in force for the first time; if the engine has not joined,
            that is later. It fails with :exc:`~rkllm_twisted.fleet.errors.NotPermitted`, and the
            offer is forgotten, if this member may not offer the URI, and with CancelledError if the
            offer is withdrawn before.
        :raises ValueError: this member offers the URI already.
        """

    def withdraw(uri: str) -> Deferred[None]:
        """End an offer. Calls that are being served go on.

        :returns: fires when no further call can come. It never fails; withdrawing what is not
            offered is harmless.
        """

    def call(
        uri: str,
        payload: Payload,
        on_progress: Callable[[Payload], object] | None = None,
    ) -> Deferred[Payload]:
        """Call a URI once.

        The engine never repeats a call: it runs at most once.

        :param payload: what JSON can hold; dictionaries have str keys.
        :param on_progress: called with each progressive result, in order, never after the Deferred
            has fired. Without it progressive results are dropped. It must not raise.
        :returns: fires with the final result. Cancelling it fails it with
            :exc:`~twisted.internet.defer.CancelledError` at once and cancels what serves the call;
            the board may be busy for as long as that takes. It fails with an RPCError if the board
            answered with one, and otherwise with exactly one of

            - BoardsBusy, NotOffered: nothing has run;
            - NotPermitted: this member may not call the URI; nothing has run;
            - TooLarge: the payload exceeds
              :data:`~rkllm_twisted.fleet.values.MAX_SIZE`; nothing was sent. If the answer exceeds
              it, the call fails with an InternalError that says so;
            - BoardLost: the board's connection ended during the call;
            - RouterLost: this engine is not joined, or lost its connection during the call.
        """

    def announce(state: BoardState) -> None:
        """Publish the board's state: for boards.

        The last state is kept and shown to every watcher, also to those that join later. Before
        the first call the board is invisible. It never fails; a state of more than 64 KiB raises
        ValueError.
        """

    def list_offers() -> Deferred[tuple[Offer, ...]]:
        """Return what is offered in the fleet, sorted by URI: for fronts.

        :returns: fails with RouterLost if the engine is not joined, NotPermitted on a board.
        """


class IWatcher(Interface):
    """What an engine reports. Methods are called in the reactor thread and must not raise.

    A board is told of its own connection only.
    """

    def connected() -> None:
        """The router has accepted this member, the first time or again.

        Not while a later connection of its name has its place.
        """

    def disconnected(reason: FleetError) -> None:
        """The connection was lost, or an attempt has failed.

        What was known of the boards is void: no ``board_left`` follows, and each board is shown
        again after the next ``connected``.

        :param reason: RouterLost, or NotPermitted if the router refuses the key or the name, or if
            a later connection of the same name has replaced this one.
        """

    def board_changed(board: str, state: BoardState) -> None:
        """A board was there when this member joined, has come, or has announced a state.

        :param board: its name, which the router has checked.
        :param state: the last one.
        """

    def board_left(board: str) -> None:
        """A board's connection has ended, for whatever reason."""
