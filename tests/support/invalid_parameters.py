"""Parameters that are wrong in one known way, made from the table of a release.

A set of parameters is made that is right, then one thing in it is spoilt. What an error must name
is known: a path, or the beginning of one. Everything comes from one random.Random, so that a set is
known by its seed and thousands of them take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import scalar_samples
from parameter_draft import Draft, sent
from valid_parameters import NOT_MOVED, RightValues

from rkllm_twisted.abi.declarations import Function
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.abi.scalars import MAX_NAME_CHARACTERS
from rkllm_twisted.abi.struct_rules import INPUT_MEMBERS, LENGTHS, REQUIRED, names_file


@attrs.define
class WrongSet:
    """Parameters, and what is wrong with them.

    :param how: which way of spoiling made it.
    :param named: the error must name one of these, or something inside of it.
    """

    how: str
    params: Any
    named: tuple[str, ...]


Spoiling = Callable[[Draft], tuple[str, ...] | None]


def wrong_set(release: Release, function: Function, rng: Random) -> WrongSet:
    """Make parameters of a function that are wrong."""
    for spoil in rng.sample(SPOILINGS, len(SPOILINGS)):
        draft = Draft(release, function, rng)
        right = RightValues(release, rng)
        draft.given = right.parameters(function)
        draft.places = right.places
        named = spoil(draft)
        if named is not None:
            return WrongSet(
                spoil.__name__, sent(draft), tuple(name[:MAX_NAME_CHARACTERS] for name in named)
            )
    raise AssertionError(f"nothing can be wrong with {function.name}")


def unknown_parameter(draft: Draft) -> tuple[str, ...]:
    """A name that is nearly one of the function's, or nothing like it."""
    taken = [slot.name for slot in draft.signature.slots]
    name = scalar_samples.wrong_name(draft.rng, taken)
    draft.given = {name: scalar_samples.junk(draft.rng), **draft.given}
    draft.positional = False
    return (name,)


def owned_slot(draft: Draft) -> tuple[str, ...] | None:
    """The handle, the callback, userdata: the daemon's own."""
    owned = [slot for slot in draft.signature.slots if slot not in draft.signature.own]
    if not owned:
        return None
    slot = draft.rng.choice(owned)
    draft.given[slot.name] = scalar_samples.junk(draft.rng)
    draft.positional = False
    return (slot.name,)


def owned_slot_in_order(draft: Draft) -> tuple[str, ...] | None:
    """Parameters as a list that has a value in the handle's slot."""
    slots = draft.signature.slots
    if not slots or slots[0].type.base != "LLMHandle":
        return None
    junk = scalar_samples.junk(draft.rng)
    draft.given = [junk, *(draft.given.get(slot.name) for slot in slots[1:])]
    draft.positional = False
    return (slots[0].name,)


def too_many(draft: Draft) -> tuple[str, ...]:
    """More values than C has slots."""
    more = len(draft.signature.slots) + draft.rng.choice([1, 1, 2, 10, 1000])
    draft.given = [scalar_samples.junk(draft.rng) if i % 2 else None for i in range(more)]
    draft.positional = False
    return ("params",)


def missing_parameter(draft: Draft) -> tuple[str, ...] | None:
    """One that C cannot do without, left out or null."""
    needed = [own.name for own in draft.signature.own if not own.nullable]
    if not needed:
        return None
    name = draft.rng.choice(needed)
    draft.given[name] = None
    if draft.rng.random() < 0.5:
        del draft.given[name]
    draft.positional = False
    return (name,)


def wrong_parameter(draft: Draft) -> tuple[str, ...] | None:
    """A whole parameter of another type."""
    if not draft.signature.own:
        return None
    own = draft.rng.choice(draft.signature.own)
    sort = "tools" if own.name == "tools" else draft.release.sort_of(own.type)
    draft.given[own.name] = scalar_samples.of_sort(draft.rng, sort, own.type, draft.release)
    return (own.name,)


def wrong_field(draft: Draft) -> tuple[str, ...] | None:
    """A field of another type or beyond its range, however deep."""
    sorts = ["string", "integer", "float", "bool", "enum", "structure", "pointer", "array"]
    place = draft.some(*draft.rng.sample(sorts, 4)) or draft.some(*sorts)
    if place is None:
        return None
    kind = place.member.type
    place.owner[place.name] = scalar_samples.of_sort(draft.rng, place.sort, kind, draft.release)
    return (place.path,)


def wrong_array(draft: Draft) -> tuple[str, ...] | None:
    """An array with something in it that does not belong there, or packed wrongly."""
    place = draft.some("numbers")
    if place is None:
        return None
    base = place.member.type.base
    place.owner[place.name] = scalar_samples.numbers(draft.rng, base, place.count)
    return (place.path,)


def unknown_field(draft: Draft) -> tuple[str, ...] | None:
    """A field that no release has."""
    place = draft.some("object")
    if place is None:
        return None
    name = scalar_samples.wrong_name(draft.rng, [*place.fields, *NOT_MOVED])
    place.value[name] = scalar_samples.junk(draft.rng)
    return (f"{place.path}.{name}",)


def foreign_field(draft: Draft) -> tuple[str, ...] | None:
    """A field that only other releases have."""
    place = draft.some("object")
    if place is None:
        return None
    others = {
        member.name
        for release in releases().values()
        if place.struct.name in release.structs
        for member in release.structs[place.struct.name].members
        if member.name and member.name not in (*place.fields, *NOT_MOVED)
    }
    if not others:
        return None
    name = draft.rng.choice(sorted(others))
    place.value[name] = scalar_samples.junk(draft.rng)
    return (f"{place.path}.{name}",)


def missing_field(draft: Draft) -> tuple[str, ...] | None:
    """One that C cannot do without, left out or null."""
    place = draft.some_object(REQUIRED)
    if place is None:
        return None
    name = draft.rng.choice(REQUIRED[place.struct.name])
    place.value[name] = None
    if draft.rng.random() < 0.5:
        del place.value[name]
    return (f"{place.path}.{name}",)


def wrong_count(draft: Draft) -> tuple[str, ...] | None:
    """A count that its array does not have."""
    place = draft.some_object(LENGTHS)
    if place is None:
        return None
    rules = LENGTHS[place.struct.name]
    count = draft.rng.choice(sorted({c for rule in rules for c in rule.counts} & {*place.value}))
    place.value[count] = draft.rng.choice([0, 5, 7, 11, 1013, 2**31 - 1])  # rows are of 3 floats
    return tuple(f"{place.path}.{rule.array}" for rule in rules)


def wrong_length(draft: Draft) -> tuple[str, ...] | None:
    """An array that is longer or shorter than its count says, or empty."""
    place = draft.some("numbers")
    if place is None:
        return None
    off = draft.rng.choice([-place.count, -1, 1, 3 * place.count + 1])
    size = place.count + off
    if not place.exact and size and size % place.rows == 0:
        return None
    place.owner[place.name] = scalar_samples.right_numbers(draft.rng, place.member.type.base, size)
    return (place.path,)


def wrong_union(draft: Draft) -> tuple[str, ...] | None:
    """The member of another input type, as well or instead."""
    place = draft.some_object({"RKLLMInput"})
    if place is None:
        return None
    members = [name for name in INPUT_MEMBERS.values() if name in place.fields]
    spare = [name for name in members if name not in place.value]
    numbers = draft.release.enums["RKLLMInputType"]
    if draft.rng.random() < 0.5:
        place.value[draft.rng.choice(spare)] = scalar_samples.junk(draft.rng)
    else:
        right = {name: numbers[kind] for kind, name in INPUT_MEMBERS.items() if kind in numbers}
        chosen = next(name for name in members if name in place.value)
        place.value["input_type"] = draft.rng.choice(
            [number for name, number in right.items() if name != chosen]
        )
    return tuple(f"{place.path}.{name}" for name in members)


def not_a_file(draft: Draft) -> tuple[str, ...] | None:
    """A directory, and where C would read it, a file that is not there."""
    found = [p for p in draft.places if names_file(p.name) and p.sort == "string"]
    if found:
        place = draft.rng.choice(found)
        writes = place.name == "prompt_cache_path"
        place.owner[place.name] = "/" if writes else draft.rng.choice(["/", "/dev/null/x", "/-"])
        return (place.path,)
    if "prompt_cache_path" not in draft.given:
        return None
    draft.given["prompt_cache_path"] = draft.rng.choice(["/", "/dev/null/x", "/-"])
    return ("prompt_cache_path",)


def wrong_rows(draft: Draft) -> tuple[str, ...] | None:
    """A number of elements other than the batch's rows, of which there is one."""
    if "start_pos" in draft.given:
        first, second = draft.rng.choice([(1, 2), (2, 1), (0, 1), (2, 2), (5, 5)])
        draft.given["start_pos"] = scalar_samples.right_numbers(draft.rng, "int", first)
        draft.given["end_pos"] = scalar_samples.right_numbers(draft.rng, "int", second)
        return ("start_pos",)
    if "rkllm_input" in draft.given:
        draft.given["rkllm_input"] = [draft.given["rkllm_input"]] * draft.rng.choice([0, 2, 3])
        return ("rkllm_input",)
    return None


SPOILINGS: tuple[Spoiling, ...] = (
    unknown_parameter,
    owned_slot,
    owned_slot_in_order,
    too_many,
    missing_parameter,
    wrong_parameter,
    wrong_field,
    wrong_array,
    unknown_field,
    foreign_field,
    missing_field,
    wrong_count,
    wrong_length,
    wrong_union,
    not_a_file,
    wrong_rows,
)
