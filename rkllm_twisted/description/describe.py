"""Makes the description of methods, from the plugins and the layout table. Pure.

:func:`describe` returns the values of :mod:`rkllm_twisted.description.model`; other modules make a
page, an OpenRPC document or text of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence

import attrs

from rkllm_twisted import errors
from rkllm_twisted.abi.arguments import Signature
from rkllm_twisted.abi.declarations import Function
from rkllm_twisted.abi.release import Release
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
from rkllm_twisted.description.results import RESULTS, UNKNOWN, result_of_function
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
    IImmediate,
    INeedsModel,
    IReleaseMethod,
    IRKLLMMethod,
    IRPCMethod,
    IUncounted,
    IUsesNPU,
    IWritesFile,
)

#: The errors of a method, in the order of the wire's table -> the facts (:func:`_facts`); one
#: of them must hold.
ERRORS: Mapping[type[errors.RPCError], tuple[str, ...]] = {
    errors.InvalidParams: ("always",),
    errors.RuntimeRefused: ("returns a status",),
    errors.NoModel: ("needs a model",),
    errors.Busy: ("queued", "counted"),
    errors.TimedOut: ("queued",),
    errors.RuntimeCrashed: ("queued",),
    errors.NotAllowed: ("administrative", "writes a file"),
    errors.NotInRelease: ("not in every release", "uses the NPU"),
    errors.Cancelled: ("queued",),
    errors.ShuttingDown: ("queued",),
}
#: Parameters that may have other JSON types than their C type suggests -> those types.
ALSO: Mapping[str, tuple[str, ...]] = {"tools": ("array", "object"), "rkllm_input": ("array",)}


def describe(methods: Mapping[str, IRPCMethod], releases: Sequence[Release]) -> Description:
    """Describe methods.

    :param methods: the methods by name, from :func:`rkllm_twisted.rpc.registry.find_methods`.
    :param releases: the layouts to describe, oldest first: all of them, or the loaded one.
    """
    described = tuple(_method(method, releases) for method in methods.values())
    structures, enums = structures_and_enums(releases)
    return Description(described, structures, enums, covered(releases))


def _method(method: IRPCMethod, releases: Sequence[Release]) -> MethodDescription:
    function = method.function if IRKLLMMethod.providedBy(method) else None
    having = [release for release in releases if _has(release, method, function)]
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
        result=_result(method, having, function),
        errors=tuple(map(_error_kind, _errors(method, declared, len(having) < len(releases)))),
        releases=covered(having),
    )


def _result(method: IRPCMethod, having: Sequence[Release], function: str | None) -> ResultModel:
    if method.name in RESULTS:
        return RESULTS[method.name]
    if function is not None and having:
        return result_of_function(having[-1], having[-1].functions[function])
    if IDescribedMethod.providedBy(method):
        return own_result(method.result, f"{method.name}.")
    return UNKNOWN


def _has(release: Release, method: IRPCMethod, function: str | None) -> bool:
    if function is not None:
        return function in release.functions
    return not IReleaseMethod.providedBy(method) or method.exists_in(release)


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
    parameter = next(p for p in function.parameters if p.name == name)
    known = type_of(release, parameter.type)
    nullable = parameter.nullable
    return Item(
        name=name,
        type=attrs.evolve(known, json=(*known.json, *ALSO.get(name, ()), *["null"] * nullable)),
        meaning=parameter.about,
        unit=parameter.unit,
        default=Default(Origin.VALUE) if nullable else None,
        required=not nullable,
    )


def _errors(
    method: IRPCMethod, functions: Sequence[Function], not_everywhere: bool
) -> Iterator[type[errors.RPCError]]:
    """Find the errors that a method may answer with, in the order of the wire's table."""
    facts = _facts(method, functions, not_everywhere)
    return (error for error, reasons in ERRORS.items() if any(facts[reason] for reason in reasons))


def _facts(
    method: IRPCMethod, functions: Sequence[Function], not_everywhere: bool
) -> Mapping[str, bool]:
    immediate, uses_npu = IImmediate.providedBy(method), IUsesNPU.providedBy(method)
    with_handle = any(p.type.base == "LLMHandle" for f in functions for p in f.parameters)
    status = any(f.returns.base == "int" for f in functions)
    return {
        "always": True,
        "returns a status": (status and method.name != "rkllm.is_running") or uses_npu,
        "needs a model": (with_handle and method.name != "rkllm.init")
        or INeedsModel.providedBy(method),
        "queued": (bool(functions) and not immediate) or uses_npu,
        "counted": not IUncounted.providedBy(method),
        "administrative": IAdministrative.providedBy(method),
        "writes a file": IWritesFile.providedBy(method),
        "not in every release": not_everywhere,
        "uses the NPU": uses_npu,
    }


def _error_kind(error: type[errors.RPCError]) -> ErrorKind:
    # Python drops docstrings under -OO; then the name is the summary.
    about = (inspect.getdoc(error) or error.__name__).split(" ``data``")[0]
    return ErrorKind(error.code, error.__name__, " ".join(about.split()))
