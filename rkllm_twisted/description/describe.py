"""Makes the description of methods, from the plugins and the layout table. Pure.

:func:`describe` gives the values of :mod:`rkllm_twisted.description.model`; what form they take
(a page, an OpenRPC document, a listing in a terminal) is somebody else's business.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from rkllm_twisted import errors
from rkllm_twisted.abi.arguments import NULLABLE, Signature
from rkllm_twisted.abi.release import Function, Release
from rkllm_twisted.description.annotations import own_parameters, own_result
from rkllm_twisted.description.model import (
    Default,
    Description,
    ErrorKind,
    Item,
    MethodDescription,
    Origin,
    ResultModel,
    Slot,
)
from rkllm_twisted.description.notes import notes
from rkllm_twisted.description.results import RESULTS, STATUS, UNKNOWN
from rkllm_twisted.description.structures import (
    Found,
    covered,
    merged,
    structures_and_enums,
    type_of,
)
from rkllm_twisted.interfaces import (
    IAdministrative,
    IDescribedMethod,
    IRKLLMMethod,
    IRPCMethod,
)
from rkllm_twisted.rpc.conversation import NOT_COUNTED

#: Methods that are no C function, and yet not possible with every release.
POSSIBLE: Mapping[str, Callable[[Release], bool]] = {
    "rkllm.pause": lambda release: release.callbacks["LLMResultCallback"].returns.base != "void",
}
#: Methods that are no C function, and yet need a model.
NEED_A_MODEL = frozenset({"rkllm.pause"})
#: Methods that go around the NPU's queue although they are C functions.
AROUND_THE_QUEUE = frozenset({"rkllm.abort", "rkllm.is_running"})
#: Methods that may write a file, which is for administrators.
MAY_WRITE = frozenset({"rkllm.run", "rkllm.run_async"})
#: Parameters that may be JSON of other types than their C type says -> those types.
ALSO: Mapping[str, tuple[str, ...]] = {"tools": ("array", "object"), "rkllm_input": ("array",)}


def describe(methods: Mapping[str, IRPCMethod], releases: Sequence[Release]) -> Description:
    """Describe methods.

    :param methods: by name, as :func:`rkllm_twisted.rpc.registry.find_methods` gives them.
    :param releases: the layouts to describe, oldest first: all of them, or the loaded one.
    """
    described = tuple(_method(method, releases) for method in methods.values())
    structures, enums = structures_and_enums(releases)
    return Description(described, structures, enums, covered(releases))


def _method(method: IRPCMethod, releases: Sequence[Release]) -> MethodDescription:
    function = method.function if IRKLLMMethod.providedBy(method) else None
    having = [release for release in releases if _has(release, method.name, function)]
    declared = [r.functions[function] for r in having] if function else []
    return MethodDescription(
        name=method.name,
        summary=method.summary,
        function=function,
        streams=method.streams,
        administrative=IAdministrative.providedBy(method),
        parameters=(
            _c_parameters(having, declared)
            if function
            else own_parameters(method.params, f"{method.name}.")
        ),
        slots=_slots(declared[-1]) if declared else (),
        is_open=function is None and method.params is None,
        result=_result(method, function),
        errors=tuple(map(_error_kind, _errors(method, declared, len(having) < len(releases)))),
        releases=covered(having),
    )


def _result(method: IRPCMethod, function: str | None) -> ResultModel:
    known = RESULTS.get(method.name, STATUS if function else None)
    if known is None and IDescribedMethod.providedBy(method):
        return own_result(method.result, f"{method.name}.")
    return known or UNKNOWN


def _has(release: Release, name: str, function: str | None) -> bool:
    if function is not None:
        return function in release.functions
    possible = POSSIBLE.get(name)
    return possible is None or possible(release)


def _slots(function: Function) -> tuple[Slot, ...]:
    signature = Signature.of(function)
    return tuple(Slot(slot.name, slot not in signature.own) for slot in signature.slots)


def _c_parameters(releases: Sequence[Release], functions: Sequence[Function]) -> tuple[Item, ...]:
    found = [
        Found(_c_parameter(release, function, parameter.name), release.covers)
        for release, function in zip(releases, functions, strict=True)
        for parameter in Signature.of(function).own
    ]
    return merged(found)


def _c_parameter(release: Release, function: Function, name: str) -> Item:
    kind = next(p.type for p in function.parameters if p.name == name)
    note = notes().functions[function.name].notes[name]
    known = type_of(release, kind)
    nullable = name in NULLABLE
    return Item(
        name=name,
        type=attrs.evolve(known, json=(*known.json, *ALSO.get(name, ()), *["null"] * nullable)),
        meaning=note.meaning,
        unit=note.unit,
        default=Default(Origin.VALUE) if nullable else None,
        required=not nullable,
    )


def _errors(
    method: IRPCMethod, functions: Sequence[Function], not_everywhere: bool
) -> Iterator[type[errors.RPCError]]:
    """Find what a method may answer with, in the order of the wire's table."""
    name = method.name
    queued = bool(functions) and name not in AROUND_THE_QUEUE
    with_handle = any(p.type.base == "LLMHandle" for f in functions for p in f.parameters)
    returns_status = any(f.returns.base == "int" for f in functions) and name != "rkllm.is_running"
    yield errors.InvalidParams
    if returns_status:
        yield errors.RuntimeRefused
    if (with_handle and name != "rkllm.init") or name in NEED_A_MODEL:
        yield errors.NoModel
    if queued or name not in NOT_COUNTED:
        yield errors.Busy
    if queued:
        yield errors.TimedOut
        yield errors.RuntimeCrashed
    if IAdministrative.providedBy(method) or name in MAY_WRITE:
        yield errors.NotAllowed
    if not_everywhere:
        yield errors.NotInRelease
    if queued:
        yield errors.Cancelled
        yield errors.ShuttingDown


def _error_kind(error: type[errors.RPCError]) -> ErrorKind:
    # Python drops docstrings under -OO; the name is left then.
    about = (inspect.getdoc(error) or error.__name__).split(" ``data``")[0]
    return ErrorKind(error.code, error.__name__, " ".join(about.split()))
