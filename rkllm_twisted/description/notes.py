"""The meaning and unit of each field and value of rkllm.h, as values read from field-notes.json.

``rkllm-abi.json`` has what the compiler sees, and the words for functions and their parameters.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import attrs


@attrs.frozen
class Note:
    """The meaning of a field or value.

    :param unit: ``tokens``, ``ms`` …; None if there is none.
    """

    meaning: str
    unit: str | None = None


@attrs.frozen
class Group:
    """The notes of a structure or an enum.

    :param about: one line.
    :param notes: the notes by field or value.
    """

    about: str = ""
    notes: Mapping[str, Note] = attrs.field(factory=dict)

    def note(self, name: str) -> Note:
        """Return the note of a field or value; an empty one if the table has none yet."""
        return self.notes.get(name, Note(""))


@attrs.frozen
class Notes:
    """The whole table.

    :param units: the units by the name of a field, in any structure.
    """

    structures: Mapping[str, Group]
    enums: Mapping[str, Group]
    units: Mapping[str, str]

    def structure(self, name: str) -> Group:
        """Return the notes of a structure; none if the table has none yet."""
        return self.structures.get(name, Group())

    def enum(self, name: str) -> Group:
        """Return the notes of an enum; none if the table has none yet."""
        return self.enums.get(name, Group())


@functools.cache
def notes() -> Notes:
    """Read the table, at the first call."""
    table = json.loads(Path(__file__).with_name("field-notes.json").read_text("utf-8"))
    units = table["units"]
    return Notes(
        structures=_section(table["structures"], units),
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
