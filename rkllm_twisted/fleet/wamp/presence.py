"""Which boards there are, and their states: what a front learns of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from autobahn.wamp.types import SubscribeOptions
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.logger import Logger

from rkllm_twisted.errors import InternalError
from rkllm_twisted.fleet.values import Offer, board_uri
from rkllm_twisted.fleet.wamp.translation import from_text

_log = Logger("rkllm.fleet")
#: Questions to the router at once. It answers a ping only after what was asked before it, and
#: hundreds of questions may take longer than a ping may.
AT_ONCE = 20


class Presence:
    """Follows the boards on one session.

    A board offers ``rkllm.board.<board>.state``, which answers its last state, and publishes each
    change. It is there as long as that offer is.

    :param watcher: the :class:`~rkllm_twisted.fleet.interfaces.IWatcher`.
    """

    def __init__(self, session: Any, watcher: Any) -> None:
        self._session = session
        self._watcher = watcher
        #: The router's number of each offer of a state -> the board.
        self._boards: dict[int, str] = {}
        self._is_over = False

    def stop(self) -> None:
        """The session has ended: report nothing more."""
        self._is_over = True

    async def start(self) -> None:
        """Follow the boards: first what changes, then what there is, so that none is missed."""
        subscribe = self._session.subscribe
        options = SubscribeOptions(match="wildcard", details_arg="details")
        await subscribe(self._published, board_uri("", "status"), options=options)
        await subscribe(self._created, "wamp.registration.on_create")
        await subscribe(self._deleted, "wamp.registration.on_delete")
        async for some in registrations(self._session):
            for details in some:
                # Events are newer than the list, which may have an earlier connection's number.
                if _board_of(details) not in self._boards.values():
                    self._created(None, details)

    def _created(self, _session: Any, details: Any) -> None:
        board = _board_of(details)
        if board is not None:
            # A later connection of a board takes its name without an event of the end.
            former = [number for number, name in self._boards.items() if name == board]
            for number in former:
                del self._boards[number]
            self._boards[int(details["id"])] = board
            ensureDeferred(self._ask(board)).addErrback(lambda _: None)  # it has left again

    async def _ask(self, board: str) -> None:
        self._changed(board, await self._session.call(board_uri(board, "state"), "null"))

    def _deleted(self, _session: Any, number: Any, *_: Any) -> None:
        board = self._boards.pop(int(number), None)
        if board is not None and board not in self._boards.values() and not self._is_over:
            self._watcher.board_left(board)

    def _published(self, text: Any = None, details: Any = None) -> None:
        self._changed(str(details.topic).split(".")[2], text)

    def _changed(self, board: str, text: Any) -> None:
        """Report a state, unless the board has left meanwhile."""
        if self._is_over or board not in self._boards.values():
            return
        try:
            state = from_text(text)
        except InternalError:
            _log.warn("The board {board} has sent a state that cannot be read.", board=board)
            return
        self._watcher.board_changed(board, state)


def _board_of(details: Any) -> str | None:
    """Return the board whose offer of a state a registration is; None: it is another."""
    match str(details["uri"]).split("."):
        case ["rkllm", "board", board, "state"]:
            return board
    return None


async def registrations(session: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the router's details of the members' registrations that still exist, some at once."""
    numbers = (await session.call("wamp.registration.list"))["exact"]
    for at in range(0, len(numbers), AT_ONCE):
        some = numbers[at : at + AT_ONCE]
        got = await DeferredList(
            [session.call("wamp.registration.get", number) for number in some], consumeErrors=True
        )
        found = [details for is_there, details in got if is_there]
        yield [one for one in found if one["uri"].startswith(("rkllm.model.", "rkllm.board."))]


async def list_offers(session: Any) -> tuple[Offer, ...]:
    """See :meth:`~rkllm_twisted.fleet.interfaces.IEngine.list_offers`."""
    offers = []
    found = [details async for some in registrations(session) for details in some]
    for details in found:
        if details["uri"].endswith(".state"):
            continue
        boards = await session.call("wamp.registration.count_callees", details["id"])
        offers.append(Offer(str(details["uri"]), int(boards)))
    return tuple(sorted(offers, key=lambda offer: offer.uri))
