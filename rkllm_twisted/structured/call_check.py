"""Checks the calls of an answer, where their tokens could not be chosen. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.structured.form import Form, form_of
from rkllm_twisted.structured.tool_form import parameters

#: Begins to check a text: tokens that are bytes, see :func:`.token_table.byte_table`.
Begin = Callable[[], IConstraint]


@attrs.frozen
class CallCheck:
    """The check of calls.

    :param schemas: the functions that may be called, by name -> the schema of the arguments.
    :param begin: the same -> begins a check of the arguments.
    """

    schemas: Mapping[str, Mapping[str, Any]]
    begin: Mapping[str, Begin]

    def fits(self, name: str, arguments: str) -> bool:
        """True if the function may be called, and the arguments are valid by its schema.

        :param arguments: as the model wrote them. The order of their names does not matter.
        """
        if name not in self.schemas:
            return False
        try:
            value = _in_order(json.loads(arguments), self.schemas[name])
        except (ValueError, RecursionError):
            return False
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        octets = [*text.encode(errors="surrogatepass")]
        constraint = self.begin[name]()
        return constraint.consume(octets) == len(octets) and bool(constraint.accepting)


def call_check(tools: Tools, begin: Callable[[Form], Begin]) -> CallCheck:
    """Return the check of the calls that a request allows.

    :param begin: prepares a form.
    :raises InvalidParams: the schema of a function cannot be kept to; the error names its place.
    """
    schemas = {tool["function"]["name"]: schema for tool, schema in _schemas(tools)}
    begins = {
        name: begin(form_of("schema", schema, f"tools[{number}].function.parameters"))
        for number, (name, schema) in enumerate(schemas.items())
    }
    allowed = [*schemas] if tools.only is None else [tools.only]
    return CallCheck({name: schemas[name] for name in allowed}, begins)


def _schemas(tools: Tools) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for number, tool in enumerate(tools.definitions):
        yield tool, {"type": "object", **parameters(tool, number)}


def _in_order(value: Any, schema: Any) -> Any:
    """Return a value with the members of its objects in the order of the schema's properties."""
    given = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, list):
        return [_in_order(one, given.get("items")) for one in value]
    if not isinstance(value, dict):
        return value
    found = given.get("properties")
    inner: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    names = [
        *(name for name in inner if name in value),
        *(one for one in value if one not in inner),
    ]
    return {name: _in_order(value[name], inner.get(name)) for name in names}
