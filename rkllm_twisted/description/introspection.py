"""Makes text and XML-RPC introspection of the description, as txJSON-RPC has them. Pure.

``system.methodHelp`` returns text for people, and ``rkllm methods NAME`` prints it.
``system.methodSignature`` returns a list of signatures, each ``[type of the result, type of the
first parameter, …]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from rkllm_twisted.description.model import (
    Description,
    Item,
    MethodDescription,
    ResultModel,
    Structure,
    Type,
)

ANY = "any"


def signatures_of(method: MethodDescription) -> list[list[str]] | str:
    """List the ways to call a method by position: one for each number of parameters and each type.

    :returns: the empty string if the parameters are not known, as txJSON-RPC does.
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


def help_of(method: MethodDescription, description: Description) -> str:
    """Explain a method: summary, parameters, result, errors, and the structures in them.

    :param description: has the structures.
    """
    blocks = [_method_lines(method)]
    blocks += [_structure_lines(structure) for structure in _structures(method, description)]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _method_lines(method: MethodDescription) -> Iterator[str]:
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


def _structure_lines(structure: Structure) -> Iterator[str]:
    yield f"{structure.name}: {structure.about}"
    yield from (f"  {_line(item, False)}" for item in structure.fields)


def _structures(method: MethodDescription, description: Description) -> Iterable[Structure]:
    """Return the structures of the parameters and of the result, and those in them, each once."""
    found: dict[str, Structure] = {}
    names = [item.type.of or item.type.items for item in method.parameters]
    names += [method.result.structure, *(item.type.of for item in method.result.items)]
    while names:
        name = names.pop(0)
        if name is not None and name in description.structures and name not in found:
            structure = description.structures[name]
            found[name] = structure
            names += [field.type.of or field.type.items for field in structure.fields]
    return found.values()


def _line(item: Item, is_optional: bool) -> str:
    kind = item.type.of or " or ".join(item.type.json) or ANY
    facts = ", ".join(filter(None, (kind, item.unit, "optional" if is_optional else "")))
    return f"{item.name} ({facts}): {item.meaning}".removesuffix(": ")


def _types(kind: Type) -> list[str]:
    """Return the types that a value may have; null only if it can have no other."""
    return [name for name in kind.json if name != "null"] or list(kind.json) or [ANY]


def _result_types(result: ResultModel) -> list[str]:
    return ["object"] if result.structure or result.items else list(result.type.json) or [ANY]
