"""Checks the calls of an answer, where their tokens could not be chosen. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.structured.form import Form, form_of
from rkllm_twisted.structured.member_order import MemberOrder, order_of
from rkllm_twisted.structured.tool_form import parameters

#: Begins to check a text: tokens that are bytes, see :func:`.token_table.byte_table`.
Begin = Callable[[], IConstraint]


@attrs.frozen
class _ArgumentCheck:
    """What is known of a function's arguments.

    :param order: of their members, as in the schema that ``begin`` was made of.
    """

    order: MemberOrder
    begin: Begin


@attrs.frozen
class CallCheck:
    """The check of calls.

    :param functions: those that may be called, by name.
    """

    functions: Mapping[str, _ArgumentCheck]

    def fits(self, name: str, arguments: str) -> bool:
        """True if the function may be called, and the arguments are valid by its schema.

        The order of an object's members does not matter. Two kinds that are valid may be refused:
        with a member that its schema does not name, if a property elsewhere in the schema has that
        name; and by an ``allOf`` with names in another order than the rest of the schema. An
        object with a name twice does not fit.

        :param arguments: as the model wrote them.
        """
        function = self.functions.get(name)
        if function is None:
            return False
        try:
            value = json.loads(arguments, object_pairs_hook=_object)
            text = _written(function.order.of(value))
        except (ValueError, RecursionError):
            return False
        octets = [*text.encode(errors="surrogatepass")]
        constraint = function.begin()
        return constraint.consume(octets) == len(octets) and bool(constraint.accepting)


def call_check(tools: Tools, begin: Callable[[Form], Begin]) -> CallCheck:
    """Return the check of the calls that a request allows.

    :param begin: prepares a form.
    :raises InvalidParams: the schema of a function cannot be kept to; the error names its place.
    """
    functions = {
        str(tool["function"]["name"]): _function(tool, number, begin)
        for number, tool in enumerate(tools.definitions)
    }
    allowed = [*functions] if tools.only is None else [tools.only]
    return CallCheck({name: functions[name] for name in allowed})


def _function(
    tool: Mapping[str, Any], number: int, begin: Callable[[Form], Begin]
) -> _ArgumentCheck:
    schema = {"type": "object", **parameters(tool, number)}
    place = f"tools[{number}].function.parameters"
    form_of("schema", schema, place)  # not too deep to be put in order
    order = order_of(schema)
    return _ArgumentCheck(order, begin(form_of("schema", order.of_schema(schema), place)))


def _object(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. :raises ValueError: it has a name twice."""
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a name comes twice")
    return found


def _written(value: Any) -> str:
    """Return JSON in the one way that llguidance takes.

    It takes no white space, no exponents of numbers with bounds, no ``1.0`` for an integer, and no
    bare DEL.
    """
    if isinstance(value, dict):
        members = (f"{_written(name)}:{_written(one)}" for name, one in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, float):
        digits = f"{Decimal(repr(value)):f}"
        return digits.removesuffix(".0")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
