"""The methods of a front: a daemon's, and ``fleet.call``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, IRPCMethod

#: Asks one board: its name, the method, its params, and what takes partial results.
CallBoard = Callable[[str, str, Any, Callable[[Sequence[Any]], object]], Deferred[Any]]


@attrs.frozen
class Params:
    """The parameters of the method.

    :param board: the name of the board.
    :param method: of its daemon.
    :param params: for that method.
    """

    board: str
    method: str
    params: Any = None


@implementer(IRPCMethod, IAdministrative)
@attrs.frozen
class CallOneBoard:
    """Asks the daemon of one board, for administrators."""

    _call_board: CallBoard

    name = "fleet.call"
    summary = "Ask the daemon of one board: load or unload its model, adapters, caches …"
    params = Params
    streams = True

    def call(self, call: ICall) -> object:
        """Pass the request on, and what comes back."""
        asked = call.params
        return self._call_board(asked.board, asked.method, asked.params, call.stream_all)


def front_methods(
    methods: Mapping[str, IRPCMethod], call_board: CallBoard
) -> Mapping[str, IRPCMethod]:
    """Return the methods of a front.

    :param methods: those that are installed.
    """
    own = CallOneBoard(call_board)
    return dict(sorted({**methods, own.name: own}.items()))
