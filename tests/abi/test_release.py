"""The table of releases."""

from __future__ import annotations

import pytest

from rkllm_twisted.abi.declarations import CType, parse_type
from rkllm_twisted.abi.release import parse_table, release_for, releases
from rkllm_twisted.errors import LibraryError


@pytest.mark.parametrize(
    ("version", "layout"),
    [
        ("1.1.0", "1.1.4"),
        ("1.1.4", "1.1.4"),
        ("1.2.0", "1.2.0"),
        ("1.2.3", "1.2.1"),
        ("1.3.0",) * 2,
    ],
)
def test_releases_that_share_a_layout(version: str, layout: str) -> None:
    """Each release number leads to its layout."""
    assert release_for(version).name == layout


def test_every_release_has_one_layout() -> None:
    """Layouts do not overlap, and each one covers the release in its name."""
    versions = [version for release in releases().values() for version in release.covers]
    assert len(versions) == len(set(versions))
    assert all(name in release.covers for name, release in releases().items())


@pytest.mark.parametrize("version", ["1.0.1", "9.9.9", "", "newest"])
def test_an_unknown_release_names_the_known_ones(version: str) -> None:
    """An older or newer release is refused, and the error names the option to set."""
    with pytest.raises(LibraryError, match=r"1\.1\.0, .*1\.3\.0.*--abi"):
        release_for(version)


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("int32_t", CType("int32_t")),
        ("const char *", CType("char", pointer=True)),
        ("const char*", CType("char", pointer=True)),
        ("RKLLMLoraParam *", CType("RKLLMLoraParam", pointer=True)),
        ("uint8_t[104]", CType("uint8_t", length=104)),
    ],
)
def test_types_are_read(declared: str, kind: CType) -> None:
    """A C declaration gives the type, whether it is a pointer, and the array's length."""
    assert parse_type(declared) == kind


def test_the_functions_of_the_newest_release() -> None:
    """Release 1.3.0 has the 15 functions of rkllm.h, with its parameter names."""
    functions = releases()["1.3.0"].functions
    assert len(functions) == 15
    names = [parameter.name for parameter in functions["rkllm_run_async"].parameters]
    assert names == ["handle", "rkllm_input", "rkllm_infer_params", "userdata"]


def test_a_release_that_is_like_another_has_its_layout() -> None:
    """One row is enough for a release that changes nothing."""
    known = parse_table(
        {
            "functions": {"rkllm_a": {"declared": {"1.0.0": "int rkllm_a(LLMHandle handle)"}}},
            "releases": {
                "1.0.0": {"structs": {}, "enums": {}, "callbacks": {}, "keeps_arrays": True},
                "1.0.1": {"like": "1.0.0"},
                "1.0.2": {"like": "1.0.1"},
            },
        }
    )
    assert {name: one.covers for name, one in known.items()} == {
        "1.0.0": ("1.0.0", "1.0.1", "1.0.2")
    }


def test_a_function_that_is_added_makes_a_layout_of_its_own() -> None:
    """It has the structures of the release that it is like, and the changed declarations."""
    known = parse_table(
        {
            "functions": {
                "rkllm_a": {
                    "declared": {
                        "1.0.0": "int rkllm_a(LLMHandle handle)",
                        "1.1.0": "int rkllm_a(LLMHandle handle, int n)",
                    }
                },
                "rkllm_b": {"declared": {"1.1.0": "int rkllm_b(LLMHandle handle)"}},
            },
            "releases": {
                "1.0.0": {
                    "structs": {},
                    "enums": {"E": {"A": 0}},
                    "callbacks": {},
                    "keeps_arrays": True,
                },
                "1.1.0": {"like": "1.0.0"},
                "1.1.1": {"like": "1.1.0"},
            },
        }
    )
    old, new = known.values()
    assert (old.covers, new.covers) == (("1.0.0",), ("1.1.0", "1.1.1"))
    assert (new.enums, new.keeps_arrays) == (old.enums, True)
    assert [*old.functions] == ["rkllm_a"]
    assert [*new.functions] == ["rkllm_a", "rkllm_b"]
    assert [p.name for p in new.functions["rkllm_a"].parameters] == ["handle", "n"]
    assert old.releases_where(lambda one: "rkllm_b" in one.functions) == ["1.1.0", "1.1.1"]


def test_structures_without_a_name_are_called_after_their_place() -> None:
    """A nested structure gets its own entry, with offsets from its own start."""
    image = releases()["1.3.0"].structs["RKLLMMultiModalInput.image"]
    assert (image.members[0].name, image.members[0].offset) == ("image_embed", 0)
    union = releases()["1.2.1"].structs["RKLLMInput.union"]
    assert union.is_union
    assert {member.offset for member in union.members} == {0}


@pytest.mark.parametrize("name", releases())
def test_the_enums_of_a_release(name: str) -> None:
    """State 4 exists in 1.1.x only."""
    states = releases()[name].enums["LLMCallState"]
    assert states["RKLLM_RUN_ERROR"] == 3
    assert ("RKLLM_RUN_GET_LAST_HIDDEN_LAYER" in states) == (name == "1.1.4")
