"""The calls of one ``server.sequence``: checked before the turn, made in it, failures named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.python.failure import Failure

from rkllm_twisted.errors import Busy, InvalidParams, NotAllowed, RPCError
from rkllm_twisted.interfaces import IAdministrative, ICall, IRKLLMMethod, ITurn, IWritesFile
from rkllm_twisted.methods._saving import check_saving
from rkllm_twisted.methods.run import ARRAYS, JoinedResult, checked, run
from rkllm_twisted.values import FloatArray, Params, Result, RunState

#: The member of a run's partial results that says which call it belongs to, from 0.
CALL_INDEX = "_call_index"
#: A call begins only while the arrays in the results so far have fewer bytes: hidden states of a
#: hundred runs would be gigabytes.
MAX_ARRAY_BYTES = 64 * 1024 * 1024


@attrs.frozen
class KnownCall:
    """One call.

    :param method: a method of the daemon.
    :param params: as the client sent them.
    """

    method: IRKLLMMethod
    params: Params


@attrs.define(eq=False)
class CallSequence:
    """The calls of one request, and how far they are.

    :param request: what the client sent.
    :param calls: in order.
    :param streams: the client gets the partial results of runs.
    :ivar results: of the calls that have been made, in order.
    """

    _request: ICall
    _calls: Sequence[KnownCall]
    _streams: bool
    results: list[Result] = attrs.field(factory=list)
    _prepared: list[Any] = attrs.field(factory=list)
    _has_begun: bool = False
    _failed_run: Result | None = None
    _array_bytes: int = 0

    def check(self) -> None:
        """Check whether the client may make the calls, and their parameters.

        :raises RPCError: naming the call.
        """
        self._prepared = [self._check(index, call) for index, call in enumerate(self._calls)]

    def _check(self, index: int, call: KnownCall) -> Any:
        try:
            self._check_rights(call)
            return self._request.npu.prepare(call.method.function, call.params)
        except RPCError as error:
            raise self._named(error, index) from None

    def _check_rights(self, call: KnownCall) -> None:
        conversation, method = self._request.conversation, call.method
        if not conversation.administers and IAdministrative.providedBy(method):
            raise NotAllowed.administrative(method.name, conversation.peer.uid)
        if IWritesFile.providedBy(method):
            check_saving(conversation, call.params)

    def perform(self, turn: ITurn) -> None:
        """Make the calls up to the first that fails. In the NPU thread."""
        self._has_begun = True
        for index, call in enumerate(self._calls):
            self._check_room()
            if call.method.function == run.function:
                result = self._run(turn, index)
            else:
                result = turn.perform(self._prepared[index])
            if result.get("_callback_state") == RunState.ERROR:
                self._failed_run = result
                return
            self.results.append(result)

    def _check_room(self) -> None:
        if self._array_bytes >= MAX_ARRAY_BYTES:
            raise Busy(
                f"The results so far have more than {MAX_ARRAY_BYTES} bytes of arrays; send this"
                " call and those after it again.",
                {"max_array_bytes": MAX_ARRAY_BYTES},
            )

    def _run(self, turn: ITurn, index: int) -> Result:
        request, joined = self._request, JoinedResult()

        def on_partial(result: Result) -> None:
            encoded = request.encode_floats(result)
            joined.add(encoded)
            if self._streams:
                turn.stream(request.stream_all, {**encoded, CALL_INDEX: index})

        final = request.encode_floats(turn.perform(self._prepared[index], on_partial))
        if final["_callback_state"] == RunState.ERROR:
            return final
        whole = joined.finish(final)
        self._array_bytes += _size_of_arrays(whole)
        return whole

    def finish(self, _: object) -> Mapping[str, object]:
        """Return the answer to the request. In the reactor thread.

        :raises RuntimeRefused: a run ended in an error.
        """
        if self._failed_run is not None:
            checked(self._failed_run, self._request)
        return {"results": self.results}

    def name_failure(self, failure: Failure) -> Failure:
        """Name the call that has failed, if any has begun. In the reactor thread."""
        error = failure.value
        if not self._has_begun or not isinstance(error, RPCError):
            return failure
        return Failure(self._named(error, len(self.results)))

    def _named(self, error: RPCError, index: int) -> RPCError:
        method = self._calls[index].method.name
        return type(error)(
            _sentence(error, index, method),
            {
                **_data(error, index),
                "call_index": index,
                "method": method,
                "results": list(self.results),
            },
        )


def _sentence(error: RPCError, index: int, method: str) -> str:
    if not isinstance(error, InvalidParams):
        return f"calls[{index}] ({method}): {error.message}"
    parameter = (error.data or {}).get("parameter")
    names_it = error.message.startswith(f"{parameter}: ")
    return f"calls[{index}].params{'.' if names_it else ': '}{error.message}"


def _data(error: RPCError, index: int) -> Mapping[str, object]:
    data, whole = error.data or {}, f"calls[{index}].params"
    parameter = data.get("parameter")
    if parameter is None:
        return data
    return {**data, "parameter": whole if parameter == "params" else f"{whole}.{parameter}"}


def _size_of_arrays(result: Result) -> int:
    """Return the bytes of the arrays in a run's result, encoded or not."""
    size = sum(map(_size_of_arrays, result.get("results", ())))
    for part, array in ARRAYS.items():
        floats = (result.get(part) or {}).get(array)
        if isinstance(floats, FloatArray):
            size += len(floats.data)
        elif floats is not None:
            size += memoryview(floats).nbytes
    return size
