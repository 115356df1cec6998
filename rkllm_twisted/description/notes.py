"""The meaning and unit of each name of rkllm.h, as frozen values read from field-notes.json.

``rkllm-abi.json`` has what the compiler sees; this table has the words.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import attrs


@attrs.frozen
class Note:
    """The meaning of a field or parameter.

    :param unit: ``tokens``, ``ms`` …; None if there is none.
    """

    meaning: str
    unit: str | None = None


@attrs.frozen
class Group:
    """The notes of a structure, a function or an enum.

    :param about: one line; empty for functions, since their methods have a summary.
    :param notes: the notes by field, parameter or value.
    """

    about: str
    notes: Mapping[str, Note]


@attrs.frozen
class Notes:
    """The whole table.

    :param functions: the notes of parameters, by C function.
    :param units: the units by the name of a field or parameter, in any structure or function.
    """

    structures: Mapping[str, Group]
    functions: Mapping[str, Group]
    enums: Mapping[str, Group]
    units: Mapping[str, str]


@functools.cache
def notes() -> Notes:
    """Read the table, at the first call."""
    table = json.loads(Path(__file__).with_name("field-notes.json").read_text("utf-8"))
    units = table["units"]
    return Notes(
        structures=_section(table["structures"], units),
        functions=_section(table["functions"], units),
        enums=_section(table["enums"], units),
        units=units,
    )


def _section(
    entries: Mapping[str, dict[str, object]], units: Mapping[str, str]
) -> dict[str, Group]:
    return {name: _group(entries, name, units) for name in entries}


def _group(entries: Mapping[str, dict[str, object]], name: str, units: Mapping[str, str]) -> Group:
    entry = entries[name]
    like, own = entry.get("like"), entry["fields"]
    assert isinstance(own, dict)
    shared = _group(entries, str(like), units).notes if like else {}
    notes = {field: Note(meaning, units.get(field)) for field, meaning in own.items()}
    return Group(str(entry.get("about", "")), {**shared, **notes})
