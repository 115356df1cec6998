"""The description as XML-RPC's introspection has it, which txJSON-RPC took over. Pure.

``system.methodHelp`` answers with text, ``system.methodSignature`` with a list of signatures, each
``[type of the result, type of the first parameter, …]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rkllm_twisted.description.model import Item, MethodDescription, ResultModel, Type

ANY = "any"


def signatures_of(method: MethodDescription) -> list[list[str]] | str:
    """List the ways to call a method by position: one for each number of parameters and each type.

    :returns: the empty string where the parameters are not known, as txJSON-RPC does.
    """
    if method.is_open:
        return ""
    needed = sum(item.required for item in method.parameters)
    numbers = range(needed, len(method.parameters) + 1)
    return [
        [result, *types]
        for number in numbers
        for result in _result_types(method.result)
        for types in itertools.product(*(_types(i.type) for i in method.parameters[:number]))
    ]


def help_of(method: MethodDescription) -> str:
    """Explain a method, in a few lines."""
    return "\n".join(_lines(method))


def _lines(method: MethodDescription) -> Iterator[str]:
    yield method.summary
    if method.parameters:
        yield "Parameters:"
        yield from (f"  {_line(item, not item.required)}" for item in method.parameters)
    result = method.result
    fields = f"The fields of {result.structure}." if result.structure else ""
    types = " or ".join(_result_types(result))
    yield " ".join(filter(None, (f"Result ({types}):", result.about, fields))).removesuffix(":")
    yield from (f"  {_line(item, item.name in result.sometimes)}" for item in result.items)
    codes = ", ".join(f"{error.code} {error.name}" for error in method.errors)
    yield f"Errors: {codes}"


def _line(item: Item, is_optional: bool) -> str:
    kind = item.type.of or " or ".join(item.type.json) or ANY
    facts = ", ".join(filter(None, (kind, item.unit, "optional" if is_optional else "")))
    return f"{item.name} ({facts}): {item.meaning}".removesuffix(": ")


def _types(kind: Type) -> list[str]:
    """Name the types that a value may have; null only where nothing else will do."""
    return [name for name in kind.json if name != "null"] or list(kind.json) or [ANY]


def _result_types(result: ResultModel) -> list[str]:
    return ["object"] if result.structure or result.items else list(result.type.json) or [ANY]
