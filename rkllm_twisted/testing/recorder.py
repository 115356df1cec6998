"""What clients have asked for, taken down on its way to the methods."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.rpc.call import RPCCall
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.values import Params


@attrs.frozen
class Call:
    """A request or a notification of a client.

    :param params: as they were sent.
    :param client: the number of the connection, from 1.
    """

    method: str
    params: Params
    client: int


class Recorder(Dispatcher):
    """A dispatcher that tells what it is to do before it does it.

    :param dispatcher: whose place it takes: it has everything that that one has.
    """

    def __init__(self, dispatcher: Dispatcher, tell: Callable[[Call], object]) -> None:
        vars(self).update(vars(dispatcher))
        self._tell = tell

    def start(self, method: IRPCMethod, params: Params, exchange: RPCCall) -> object:
        """See :meth:`Dispatcher.start`."""
        self._tell(Call(method.name, params, exchange.conversation.peer.number))
        return super().start(method, params, exchange)
