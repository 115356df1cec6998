"""Assigns the parameters of a request to the arguments of the C function.

A client sends the values in C's order, or by C's names. The daemon itself fills some slots (the
handle, the callback, ``userdata``) and the outputs; in a request these are null or left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from rkllm_twisted.abi.declarations import Function, Parameter
from rkllm_twisted.abi.familiar_names import field_hint
from rkllm_twisted.abi.scalars import clip
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.values import Params

#: The types of the slots that the daemon itself fills (rkllm.h 1.3.0).
OWNED_TYPES = frozenset({"LLMHandle", "void", "LLMResultCallback", "RKLLMCallback"})


@attrs.frozen
class Signature:
    """The parameters of a function: those that the client fills, and those that the daemon fills.

    :param slots: the parameters that a client may name, in C's order.
    :param own: the slots that carry a value from the client.
    """

    function: str
    slots: tuple[Parameter, ...]
    own: tuple[Parameter, ...]

    @classmethod
    def of(cls, function: Function) -> Signature:
        """Make the signature of a function."""
        own = tuple(filter(_is_own, function.parameters))
        return cls(function.name, function.parameters, own)

    def accepted(self) -> str:
        """Return the list of what the function takes, for an error message."""
        names = [p.name + " (may be null)" * p.nullable for p in self.own]
        return f"{self.function} takes {', '.join(names) or 'no parameters'}"


def _is_own(parameter: Parameter) -> bool:
    return parameter.type.base not in OWNED_TYPES and not parameter.output


def assign_arguments(function: Function, params: Params) -> dict[str, object]:
    """Return the client's values by the C names of their arguments.

    :param params: the parameters as the client sent them.
    :returns: C name -> value, for the client's parameters only. One that was left out or is
        null is there, as ``None``, only where C takes NULL.
    :raises InvalidParams: a parameter is wrong; the text names it, and lists what the function
        takes.
    """
    signature = Signature.of(function)
    if isinstance(params, Mapping):
        given = _by_name(signature, params)
    else:
        given = _by_position(signature, params or ())
    for parameter in signature.slots:
        _check_owned(signature, parameter, given)
    return {parameter.name: _own_value(signature, parameter, given) for parameter in signature.own}


def _refuse(signature: Signature, parameter: str, what: str) -> InvalidParams:
    return InvalidParams(f"{what}; {signature.accepted()}.", {"parameter": parameter})


def _by_name(signature: Signature, params: Mapping[str, object]) -> Mapping[str, object]:
    names = {parameter.name for parameter in signature.slots}
    for name in params:
        if name not in names:
            hint = field_hint(name)
            what = f"There is no parameter {clip(name)}{f' ({hint})' if hint else ''}"
            raise _refuse(signature, clip(name), what)
    return params


def _by_position(signature: Signature, params: Sequence[object]) -> Mapping[str, object]:
    slots = signature.slots
    if slots and slots[0].type.base == "LLMHandle" and not _starts_with_handle(signature, params):
        slots = slots[1:]
    if len(params) > len(slots):
        what = f"There are {len(params)} parameters, at most {len(signature.slots)} are possible"
        raise _refuse(signature, "params", what)
    return {parameter.name: value for parameter, value in zip(slots, params, strict=False)}


def _starts_with_handle(signature: Signature, params: Sequence[object]) -> bool:
    """Return True if the first value stands in the handle's slot.

    A null does, unless it can be the client's first parameter. Any other value does only if the
    list has a value for every slot of C; the daemon then refuses it as a handle.
    """
    if not params or params[0] is not None:
        return bool(params) and len(params) == len(signature.slots)
    own = signature.own
    return not own or not own[0].nullable or len(params) > len(own)


def _check_owned(signature: Signature, slot: Parameter, given: Mapping[str, object]) -> None:
    if not _is_own(slot) and given.get(slot.name) is not None:
        what = f"{slot.name} is the daemon's own and must be null or left out"
        raise _refuse(signature, slot.name, what)


def _own_value(signature: Signature, parameter: Parameter, given: Mapping[str, object]) -> object:
    value = given.get(parameter.name)
    if value is None and not parameter.nullable:
        raise _refuse(signature, parameter.name, f"{parameter.name} is missing")
    return value
