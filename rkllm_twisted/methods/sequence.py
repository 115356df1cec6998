"""``server.sequence``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.interfaces import (
    ICall,
    IImmediate,
    INeedsModel,
    IRKLLMMethod,
    IRPCMethod,
    IUsesNPU,
    IWritesFile,
)
from rkllm_twisted.methods._sequence import CallSequence, KnownCall

#: The calls of one request at most, as many as in a batch.
MAX_CALLS = 100
#: Methods that people may try -> what to do instead.
INSTEAD: Mapping[str, str] = {
    "rkllm.run_async": "use rkllm.run, whose partial results are sent as well",
}


class SequenceCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call in a sequence."""

    method: str
    params: list[Any] | dict[str, Any] | None = None


@attrs.frozen
class Params:
    """The parameters of the method.

    :param calls: 1 to 100 objects, each with a method and its params. rkllm.run may be one, and any
        other function that waits for its turn.
    :param stream: send the partial results of runs, each with the index of its call in _call_index.
    """

    calls: list[SequenceCall]
    stream: bool = True


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU, IWritesFile)
@attrs.frozen
class Sequence:
    """Makes several calls in one turn."""

    name = "server.sequence"
    summary = "Make several rkllm calls in one turn: no other client's call comes in between."
    params = Params
    streams = True

    def call(self, call: ICall) -> object:
        """Check all calls, then queue them as one."""
        sequence = CallSequence(call, list(_known(call)), call.params.stream)
        sequence.check()
        done = call.npu.perform(sequence.perform, call.conversation)
        return done.addCallback(sequence.finish).addErrback(sequence.name_failure)


def _known(call: ICall) -> Iterator[KnownCall]:
    """Find the methods.

    :raises InvalidParams: there are too few calls or too many, or one cannot be in a sequence.
    """
    calls: list[SequenceCall] = call.params.calls
    if not 0 < len(calls) <= MAX_CALLS:
        raise InvalidParams(
            f"calls: takes 1 to {MAX_CALLS} calls, not {len(calls)}.", {"parameter": "calls"}
        )
    for index, each in enumerate(calls):
        method = call.methods.get(each.method)
        if method is None or not _is_possible(method):
            raise _refusal(f"calls[{index}].method", each.method, call.methods)
        yield KnownCall(method, each.params)


def _is_possible(method: IRPCMethod) -> bool:
    """True if a method is a function of rkllm.h that waits for its turn and answers once."""
    is_function = IRKLLMMethod.providedBy(method) and not IImmediate.providedBy(method)
    return is_function and not method.streams


def _refusal(where: str, name: str, methods: Mapping[str, IRPCMethod]) -> InvalidParams:
    possible = [method.name for method in methods.values() if _is_possible(method)]
    instead = INSTEAD.get(name, f"possible are {', '.join(sorted(possible))}")
    return InvalidParams(
        f"{where}: {name[:100]!r} cannot be in a sequence; {instead}.", {"parameter": where}
    )


sequence = Sequence()
