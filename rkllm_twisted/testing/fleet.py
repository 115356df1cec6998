"""A fleet in memory: a router and its members' engines, for tests of what uses a fleet.

Everything happens at once, inside the call that causes it, so a test needs no waiting::

    router = InMemoryRouter()
    board, front = router.engine("b1", Role.BOARD), router.engine("f1", Role.FRONT)
    board.join()
    front.join()
    board.offer(model_uri("demo"), serve, concurrency=1)
    answer = front.call(model_uri("demo"), {"params": []})

``tests/support/engine_contract.py`` holds it to the contract of the engine over a real router.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.logger import Logger

from rkllm_twisted.fleet import errors
from rkllm_twisted.fleet.access import allowed
from rkllm_twisted.fleet.values import Offer, Role
from rkllm_twisted.testing.fleet_engine import InMemoryEngine, copied

_log = Logger("rkllm.fleet")


class InMemoryRouter:
    """What the members of a fleet meet at, and the hand of a test on their connections."""

    def __init__(self) -> None:
        self._members: list[InMemoryEngine] = []
        self._strangers: set[str] = set()
        self._is_up = True
        self._turns: dict[str, int] = {}

    def engine(self, name: str, role: Role) -> InMemoryEngine:
        """Make a member, which has not joined yet."""
        engine = InMemoryEngine(self, name, role)
        self._members.append(engine)
        return engine

    def refuse(self, name: str) -> None:
        """Accept no member of this name, as if its key were not known."""
        self._strangers.add(name)

    def accept(self, name: str) -> None:
        """End :meth:`refuse`; the member joins if it still tries to."""
        self._strangers.discard(name)
        for engine in [one for one in self._members if one.name == name and one.wanted]:
            self.admit(engine)

    def disconnect(self, engine: InMemoryEngine) -> None:
        """End a member's connection. It stays down until :meth:`reconnect`."""
        engine.lose(errors.RouterLost("The connection to the router was lost."))

    def reconnect(self, engine: InMemoryEngine) -> None:
        """Join a member again that was disconnected."""
        self.admit(engine)

    def stop(self) -> None:
        """End all connections, and take none until :meth:`start`."""
        self._is_up = False
        for engine in self._members:
            self.disconnect(engine)

    def start(self) -> None:
        """Take the connections of all members that try to join."""
        self._is_up = True
        for engine in [one for one in self._members if one.wanted]:
            self.admit(engine)

    def admit(self, engine: InMemoryEngine) -> None:
        """For engines: connect."""
        if engine.joined:
            return
        if not self._is_up:
            engine.refuse(errors.RouterLost("There is no connection to the router."))
        elif engine.name in self._strangers:
            engine.refuse(
                errors.NotPermitted(f"The router does not know the key of {engine.name}.")
            )
        elif engine.yields and self._named(engine):
            engine.refuse(errors.replaced(engine.name))
        else:
            engine.yields = False
            engine.enter()
            self.show(engine)
            for board in self._joined(Role.BOARD):
                self._tell(engine, board)

    def server_of(self, uri: str, caller: InMemoryEngine) -> InMemoryEngine:
        """For engines: return the member that gets the next call of a URI.

        :raises FleetError: there is none.
        """
        if not caller.joined:
            raise errors.RouterLost("There is no connection to the router.")
        if not allowed(caller.role.value, caller.name, "call", uri):
            raise errors.NotPermitted(f"{caller.name} may not call {uri}.")
        offering = self._offering(uri)
        if not offering:
            raise errors.NotOffered(f"No board offers {uri}.")
        turn = self._turns.get(uri, 0)
        for step in range(len(offering)):
            server = offering[(turn + step) % len(offering)]
            if server.has_place(uri):
                self._turns[uri] = turn + step + 1
                return server
        raise errors.BoardsBusy(f"Every board that offers {uri} has a call.")

    def take_from_others(self, uri: str, engine: InMemoryEngine, concurrency: int | None) -> None:
        """For engines: end the earlier connection that has a URI which is one member's alone."""
        if concurrency is None:
            for other in self._offering(uri):
                if other is not engine:
                    _log.warn("{name} replaces an earlier connection", name=engine.name)
                    other.yields = True
                    other.lose(errors.replaced(other.name))

    def list_offers(self) -> tuple[Offer, ...]:
        """For engines: see :meth:`IEngine.list_offers`."""
        uris = {uri for one in self._members for uri, offer in one.offers.items() if offer.is_open}
        return tuple(Offer(uri, len(self._offering(uri))) for uri in sorted(uris))

    def show(self, board: InMemoryEngine) -> None:
        """For engines: a board's state has changed."""
        for front in [*self._joined(Role.FRONT), *self._joined(Role.ADMIN)]:
            self._tell(front, board)

    def hide(self, board: InMemoryEngine) -> None:
        """For engines: a member has left."""
        if board.role is not Role.BOARD or board.state is None or self._named(board):
            return
        for front in [*self._joined(Role.FRONT), *self._joined(Role.ADMIN)]:
            if front.watcher is not None:
                front.watcher.board_left(board.name)

    def _named(self, engine: InMemoryEngine) -> list[InMemoryEngine]:
        return [one for one in self._joined(engine.role) if one.name == engine.name]

    def _tell(self, front: InMemoryEngine, board: InMemoryEngine) -> None:
        if front.role is Role.BOARD or front.watcher is None:
            return
        if board.role is Role.BOARD and board.state is not None:
            front.watcher.board_changed(board.name, copied(board.state))

    def _joined(self, role: Role) -> Iterator[InMemoryEngine]:
        return (one for one in list(self._members) if one.joined and one.role is role)

    def _offering(self, uri: str) -> list[InMemoryEngine]:
        return [one for one in self._members if uri in one.offers and one.offers[uri].is_open]
