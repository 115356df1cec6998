"""Describes methods without a C function, from the attrs classes of their parameters and results.

A third party's class may have any annotation. One without a JSON Schema becomes any value.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs
import msgspec

from rkllm_twisted.description.model import Default, Item, Origin, ResultModel, Type

_PARAM_DOC = re.compile(r":param (\w+): (.*?)(?=\s*(?::\w+[ :]|\Z))", re.DOTALL)
#: The place of the schemas in an OpenRPC document.
SCHEMAS = "#/components/schemas/"
_ANYTHING = Type(())
_NAMES: Mapping[type, str] = {type(None): "null", int: "integer", str: "string"}
Schema: TypeAlias = Mapping[str, Any]


def own_parameters(params: type | None, prefix: str = "") -> tuple[Item, ...]:
    """Describe the attrs class of a method's parameters, or of its result.

    The types are those of its fields, as :func:`msgspec.convert` checks them; the meanings are
    those of ``:param …:`` in its docstring.

    :param prefix: stands before the names of schemas that the types refer to, so that the names of
        two methods differ.
    """
    if params is None:
        return ()
    hints = _hints_of(params)
    meanings = dict(_PARAM_DOC.findall(inspect.getdoc(params) or ""))
    return tuple(
        _own_parameter(field, type_of_hint(hints.get(field.name), prefix), meanings)
        for field in attrs.fields(params)
        if field.init
    )


def own_result(result: object, prefix: str = "") -> ResultModel:
    """Describe the type of a result; an attrs class is described by its fields."""
    if isinstance(result, type) and attrs.has(result):
        return ResultModel(items=own_parameters(result, prefix))
    return ResultModel(type=type_of_hint(result, prefix))


def type_of_hint(hint: object, prefix: str = "") -> Type:
    """Describe an annotation.

    :param hint: the annotation; None if there is none.
    :param prefix: see :func:`own_parameters`.
    """
    if hint is None:
        return _ANYTHING
    try:
        (schema,), parts = msgspec.json.schema_components(
            [hint], schema_hook=lambda _: {}, ref_template=f"{SCHEMAS}{prefix}{{name}}"
        )
        msgspec.json.encode((schema, parts))
    except Exception:  # noqa: BLE001 - a third party's class may have anything in it
        return _ANYTHING
    parts = {f"{prefix}{name}": part for name, part in parts.items()}
    return Type(tuple(dict.fromkeys(_json_types(schema, parts))), schema=schema, parts=parts)


def _hints_of(params: type) -> Mapping[str, object]:
    try:
        return typing.get_type_hints(params, include_extras=True)
    except Exception:  # noqa: BLE001 - such as a name that only a type checker resolves
        return {}


def _own_parameter(field: attrs.Attribute[object], kind: Type, meanings: Mapping[str, str]) -> Item:
    required = field.default is attrs.NOTHING
    # The value of a factory is unknown before a call.
    is_known = not required and not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
    return Item(
        name=field.name,
        type=kind,
        meaning=" ".join(meanings.get(field.name, "").replace("``", "").split()),
        default=Default(Origin.VALUE, field.default) if is_known else None,
        required=required,
    )


def _json_types(schema: Schema, parts: Mapping[str, Schema]) -> tuple[str, ...]:
    """Return the JSON types that a schema of msgspec allows; none if it allows any."""
    if "$ref" in schema:
        return _json_types(parts[schema["$ref"].removeprefix(SCHEMAS)], parts)
    if "anyOf" in schema:
        options = [_json_types(option, parts) for option in schema["anyOf"]]
        return tuple(name for names in options for name in names) if all(options) else ()
    if "enum" in schema:
        return tuple(_NAMES[type(value)] for value in schema["enum"])
    return (schema["type"],) if "type" in schema else ()
