"""Records the calls of clients before the daemon starts them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from rkllm_twisted.interfaces import ICall, IRPCMethod
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.values import Params


@attrs.frozen
class Call:
    """A request or a notification of a client.

    :param params: the parameters as the client sent them.
    :param client: the number of the connection, from 1.
    """

    method: str
    params: Params
    client: int


class Recorder(Dispatcher):
    """A dispatcher that reports each call before it starts it.

    :param dispatcher: the dispatcher that it replaces; it takes over all of its attributes.
    :param on_call: called with each call.
    """

    def __init__(self, dispatcher: Dispatcher, on_call: Callable[[Call], object]) -> None:
        vars(self).update(vars(dispatcher))
        self._on_call = on_call

    def start(self, method: IRPCMethod, params: Params, call: ICall) -> object:
        """See :meth:`Dispatcher.start`."""
        self._on_call(Call(method.name, params, call.conversation.peer.number))
        return super().start(method, params, call)
