"""The parameters of a call, checked against the attrs class that a method names."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence

import attrs
import msgspec

from rkllm_twisted.abi.familiar_names import parameter_hint
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.values import NoParams, Params

_NO_PARAMS = NoParams()
_WHERE = re.compile(r"(?P<what>.*) - at `\$\.(?P<name>\w+)(?P<rest>.*)`")


def convert_params(wanted: type | None, params: Params) -> object:
    """Convert the params of a request to the value of ``call.params``.

    :param wanted: a method's ``params``: an attrs class, or None for the parameters as they came.
    :raises InvalidParams: naming the parameter that is missing, unknown, or of the wrong type.
    """
    if wanted is None:
        return params
    if wanted is NoParams and not params:
        return _NO_PARAMS
    names, required = _names(wanted)
    if not params and not required:
        return wanted()
    given = params if type(params) is dict and params.keys() <= names.keys() else None
    try:
        return msgspec.convert(_by_name(names, params) if given is None else given, wanted)
    except msgspec.ValidationError as error:
        raise _missing(required, _by_name(names, params)) or _wrong(error) from None


@functools.cache
def _names(wanted: type) -> tuple[Mapping[str, None], tuple[str, ...]]:
    """Name the parameters: all of them, in order, and those without a default."""
    fields = [field for field in attrs.fields(wanted) if field.init]
    required = [field.name for field in fields if field.default is attrs.NOTHING]
    return {field.name: None for field in fields}, tuple(required)


def _missing(required: Collection[str], given: Collection[str]) -> InvalidParams | None:
    for name in required:
        if name not in given:
            return InvalidParams(f"The parameter {name!r} is missing.", {"parameter": name})
    return None


def _by_name(names: Collection[str], params: Params) -> Mapping[str, object]:
    """Return the parameters by name; refuse unknown names, and too many parameters."""
    known = ", ".join(names) or "none"
    if isinstance(params, Mapping):
        for name in params:
            if name not in names:
                shown = name[:100]
                hint = f"use {familiar}; " if (familiar := parameter_hint(name, names)) else ""
                raise InvalidParams(
                    f"There is no parameter {shown!r}; {hint}there are: {known}.",
                    {"parameter": shown},
                )
        return params
    values: Sequence[object] = params or ()
    if len(values) > len(names):
        raise InvalidParams(
            f"{len(values)} parameters are too many; there are: {known}.",
            {"parameter": len(names)},
        )
    return dict(zip(names, values, strict=False))


def _wrong(error: msgspec.ValidationError) -> InvalidParams:
    """Make the error, which begins with the parameter's name unless a validator wrote it."""
    if error.__cause__ is not None:
        return InvalidParams(f"{error.__cause__.args[0]}.")
    found = _WHERE.fullmatch(str(error))
    if found is None:
        return InvalidParams(f"{error}.")
    where = found["name"] + found["rest"]
    return InvalidParams(f"{where}: {found['what']}.", {"parameter": found["name"]})
