"""Calls methods by name, and makes the error for the client from any failure.

The one place where exceptions become error objects: the client gets an :class:`RPCError` as it is;
any other exception is logged with its traceback, and the client gets its number in the log.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from types import CoroutineType

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from rkllm_twisted.abi.familiar_names import method_hint
from rkllm_twisted.errors import Cancelled, InternalError, MethodNotFound, RPCError
from rkllm_twisted.interfaces import INPU, ICall, IDaemon, IQuiet, IRPCMethod, IUncounted
from rkllm_twisted.rpc.access_log import AccessLog, one_line
from rkllm_twisted.rpc.parameters import convert_params
from rkllm_twisted.values import Params
from rkllm_twisted.wire import jsonrpc

_log = Logger("rkllm.rpc")


#: A name's characters in an error; a client may send any number of them.
MAX_NAME_CHARS = 100
#: The error for a name that no method has, and its error object.
NotFound = tuple[MethodNotFound, bytes]


@attrs.frozen
class CancelParams:
    """The parameters of ``$/cancelRequest``.

    :param id: of the request, as it was sent.
    """

    id: str | int | float | None


@implementer(IRPCMethod, IUncounted)
class CancelRequest:
    """``$/cancelRequest`` as in the Language Server Protocol: part of the protocol, no plugin."""

    name = "$/cancelRequest"
    summary = "Cancel one of this connection's own requests; that one is answered with -32800."
    params = CancelParams
    streams = False

    def call(self, call: ICall) -> object:
        """Cancel a request; return whether it was under way."""
        return {"cancelled": call.conversation.cancel(call.params.id)}


class Dispatcher:
    """Calls the methods, for all connections.

    :param methods: by name.
    :param npu: for the methods.
    :param daemon: for the methods.
    :param access_log: gets a line for each request.
    :ivar methods: those, and the protocol's own.
    :ivar not_found: returns the error for the first :data:`MAX_NAME_CHARS` of an unknown name. It
        keeps some: a wrong program asks again and again.
    """

    def __init__(
        self,
        methods: Mapping[str, IRPCMethod],
        npu: INPU,
        daemon: IDaemon,
        access_log: AccessLog | None = None,
    ) -> None:
        self.access_log = access_log or AccessLog()
        protocol_methods: list[IRPCMethod] = [CancelRequest()]
        self.methods = {**methods, **{method.name: method for method in protocol_methods}}
        #: By name: a look-up costs a tenth of asking a method which interfaces it provides.
        self.quiet = self._marked(IQuiet)
        self.uncounted = self._marked(IUncounted)
        find: Callable[[str], NotFound] = functools.partial(_not_found, self.methods)
        self.not_found = functools.lru_cache(maxsize=256)(find)
        self.npu = npu
        self.daemon = daemon
        self._numbers = itertools.count(1)

    def _marked(self, mark: type[Interface]) -> frozenset[str]:
        return frozenset(name for name, each in self.methods.items() if mark.providedBy(each))

    def start(self, method: IRPCMethod, params: Params, call: ICall) -> object:
        """Call a method.

        :param call: the request; it takes the results.
        :returns: the result, or a Deferred of it; cancelling that ends the work.
        :raises InvalidParams: naming the parameter.
        :raises Exception: whatever the method does.
        """
        call.params = convert_params(method.params, params)
        result = method.call(call)
        return Deferred.fromCoroutine(result) if isinstance(result, CoroutineType) else result

    def explain(self, failure: Failure, method: str, client: int) -> RPCError:
        """Make the error for the client; log what it must not see.

        :param client: the number of the connection.
        """
        if isinstance(failure.value, RPCError):
            return failure.value
        if failure.check(CancelledError):
            return Cancelled("The request was cancelled.")
        number = next(self._numbers)
        _log.failure(
            "internal error {number}: {method} for client {client}",
            failure=failure,
            number=number,
            method=one_line(method[:100]),
            client=client,
        )
        failure.cleanFailure()  # whatever keeps the log's event must not keep the request
        assert failure.value is not None
        forget_frames(failure.value)
        return InternalError(f"Internal error {number}; see the daemon's log.", {"error": number})


def _not_found(methods: Mapping[str, IRPCMethod], name: str) -> NotFound:
    error = MethodNotFound.named(name, methods, method_hint(name))
    return error, jsonrpc.error_object(error)


def forget_frames(error: BaseException) -> None:
    """Remove the frames of an error.

    They hold the request, and the request holds the error: a cycle that keeps 64 MiB of params
    until the garbage collector runs.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
