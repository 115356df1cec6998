"""The words of the generated pages: tables, types, defaults, releases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rkllm_twisted.description.model import Default, Enum, Item, Origin, Type

#: JSON's own types: no structure of the page.
PLAIN = frozenset({"number", "integer", "string", "boolean", "object", "array"})
#: Where a default comes from -> what a table says.
ORIGINS: Mapping[Origin, str] = {
    Origin.LIBRARY: "the library's",
    Origin.MODEL: "that of rkllm.init",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Make a table; a column that is empty in every row is left out."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    yield f"| {' | '.join(head[i] for i in kept)} |"
    yield "|" + "---|" * len(kept)
    yield from (f"| {' | '.join(row[i] for i in kept)} |" for row in rows)
    yield ""


def spans(releases: Sequence[str], known: Sequence[str]) -> str:
    """Say which releases these are among those known: nothing, if all."""
    if tuple(releases) == tuple(known):
        return ""
    first, last = releases[0], releases[-1]
    assert tuple(releases) == tuple(known)[known.index(first) : known.index(last) + 1], releases
    if last == known[-1]:
        return f"{first} on"
    if first == known[0]:
        return f"up to {last}"
    return first if first == last else f"{first} to {last}"


def type_words(kind: Type) -> str:
    """Name a type, with a link to what it is made of."""
    of = kind.of or (kind.items if kind.items not in {None, *PLAIN} else None)
    if of:
        link = f"[{of}](#{of.lower().replace('.', '')})"
        return f"array of {link}" if kind.items else _unless(kind, link)
    return f"`{kind.c}`" if kind.c and not kind.c.startswith("char") else _json_words(kind)


def _unless(kind: Type, link: str) -> str:
    """A structure, where a list of them will do too."""
    return f"{link} or array of them" if "array" in kind.json else link


def _json_words(kind: Type) -> str:
    if not kind.json:
        return "any"
    names = [f"array of {kind.items}s" if n == "array" and kind.items else n for n in kind.json]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def rows_words(item: Item) -> str:
    """Say how long an array is."""
    if not item.rows:
        return ""
    return f"; {' × '.join(item.rows)} {'elements' if item.exact else 'rows'}"


def default_words(item: Item, enums: Mapping[str, Enum]) -> str:
    """Say what is there when a value is left out."""
    if item.required:
        return "**required**"
    if item.chosen_by:
        return f"required with `{item.chosen_by}`"
    return _default(item.default, enums.get(item.type.of or "")) if item.default else ""


def _default(default: Default, enum: Enum | None) -> str:
    if default.origin in ORIGINS:
        return ORIGINS[default.origin]
    names = [value.name for value in enum.values if value.number == default.value] if enum else []
    return f"`{names[0] if names else json.dumps(default.value)}`"


def items_table(
    name: str,
    items: Iterable[Item],
    enums: Mapping[str, Enum],
    known: Sequence[str],
    having: Sequence[str],
) -> Iterator[str]:
    """Make the table of parameters, fields or parts of a result.

    :param known: all releases.
    :param having: those that have the whole; only an item that not all of these have says so.
    """
    head = (name, "type", "unit", "default", "meaning", "releases")
    return table(
        head,
        [
            (
                f"`{item.name}`",
                type_words(item.type) + rows_words(item),
                item.unit or "",
                default_words(item, enums),
                item.meaning,
                "" if item.releases in {(), tuple(having)} else spans(item.releases, known),
            )
            for item in items
        ],
    )
