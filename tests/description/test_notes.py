"""Every field and value of rkllm.h has a note, and every note has such a name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.abi.to_c import fields_of
from rkllm_twisted.description.notes import notes

TABLE = json.loads(
    files("rkllm_twisted.description").joinpath("field-notes.json").read_text("utf-8")
)


def names(release: Release, section: str) -> Iterator[tuple[str, str]]:
    """Yield group and name of everything that a section of the notes describes."""
    if section == "structures":
        for struct in release.structs.values():
            if not struct.is_union:
                yield from ((struct.name, field) for field in fields_of(release, struct))
    else:
        for enum, values in release.enums.items():
            yield from ((enum, value) for value in values)


ALL = {
    section: {pair for release in releases().values() for pair in names(release, section)}
    for section in ("structures", "enums")
}


@pytest.mark.parametrize("section", ALL)
def test_every_name_has_a_note(section: str) -> None:
    """Each structure and enum of each release has at least one sentence."""
    groups = getattr(notes(), section)
    for group, name in ALL[section]:
        assert groups[group].notes[name].meaning, f"{group}.{name}"


@pytest.mark.parametrize("section", ALL)
def test_no_note_is_orphaned(section: str) -> None:
    """Each note of the table belongs to a name of some release."""
    written: dict[str, Any] = TABLE[section]
    for group, entry in written.items():
        for name in entry["fields"]:
            assert (group, name) in ALL[section], f"{group}.{name}"
        assert group in {known for known, _ in ALL[section]}


def test_no_unit_is_orphaned() -> None:
    """Each unit belongs to a field."""
    assert set(notes().units) <= {name for _, name in ALL["structures"]}


def test_every_structure_and_enum_says_what_it_is() -> None:
    """The description is one line."""
    assert all(group.about for group in notes().structures.values())
    assert all(group.about for group in notes().enums.values())


def test_a_group_like_another_has_its_notes() -> None:
    """The sampling parameters mean the same in both structures."""
    own, like = (notes().structures[n].notes for n in ("RKLLMSamplingParam", "RKLLMParam"))
    assert own["top_k"] == like["top_k"]
