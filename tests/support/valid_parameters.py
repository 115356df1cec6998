"""Right parameters for a function, made from the table with one random.Random."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from random import Random
from typing import Any

import attrs
import scalar_samples

from rkllm_twisted.abi.arguments import Signature
from rkllm_twisted.abi.declarations import Function, Parameter
from rkllm_twisted.abi.release import Member, Release, Struct
from rkllm_twisted.abi.scalars import int_range
from rkllm_twisted.abi.struct_rules import INPUT_MEMBERS, LENGTHS, REQUIRED, names_file
from rkllm_twisted.abi.to_c import fields_of

#: Floats in a row, where a structure says only how many rows there are.
WIDTH = 3
#: The value of every parameter that names a file.
A_FILE = __file__
#: An image's fields, which the binding moves to where the loaded release has them.
NOT_MOVED = (
    "image",
    "image_embed",
    "n_image_tokens",
    "n_image",
    "image_width",
    "image_height",
)


@attrs.define
class Place:
    """A value in a set of parameters.

    :param sort: as :meth:`Release.sort_of` says, or ``object`` for a whole structure.
    :param owner: the object that it stands in, under ``name``.
    :param value: itself, if it is an object.
    :param count: the number of elements of an array; ``rows`` is what its counts say.
    """

    path: str
    sort: str
    struct: Struct
    member: Member = attrs.field(default=None)
    owner: dict[str, Any] = attrs.field(factory=dict)
    name: str = ""
    value: dict[str, Any] = attrs.field(factory=dict)
    fields: Sequence[str] = ()
    count: int = 0
    rows: int = 1
    exact: bool = False


class RightValues:
    """Makes valid values and keeps a list of their places.

    :ivar places: every field and structure that was made.
    """

    def __init__(self, release: Release, rng: Random) -> None:
        self.places: list[Place] = []
        self._release = release
        self._rng = rng

    def parameters(self, function: Function) -> dict[str, Any]:
        """Make a value for each parameter that is the client's."""
        own = Signature.of(function).own
        made = {parameter.name: self._parameter(parameter) for parameter in own}
        if "start_pos" in made and (made["start_pos"] is None or made["end_pos"] is None):
            made["start_pos"] = made["end_pos"] = None
        return made

    def _parameter(self, parameter: Parameter) -> Any:
        sort = self._release.sort_of(parameter.type)
        if parameter.nullable and self._rng.random() < 0.3:
            return None
        if sort == "pointer":
            return self.structure(self._release.structs[parameter.type.base], parameter.name)
        if sort == "numbers":
            return scalar_samples.right_numbers(self._rng, parameter.type.base, 1)
        if names_file(parameter.name):
            return A_FILE
        value = scalar_samples.right_scalar(self._rng, self._release, parameter.type)
        return json.dumps(value) if parameter.name == "tools" else value

    def structure(self, struct: Struct, path: str) -> dict[str, Any]:
        """Make an object with the needed fields and most of the others."""
        value: dict[str, Any] = {}
        names = list(fields_of(self._release, struct))
        self.places.append(Place(path, "object", struct, value=value, fields=names))
        rules = {rule.array: rule for rule in LENGTHS.get(struct.name, ())}
        counts = {count for rule in rules.values() for count in rule.counts}
        value |= {count: self._rng.randint(1, 3) for count in counts & {*names}}
        for member in struct.members:
            if member.name is None:
                self._union(value, member, path)
            elif member.name in rules:
                self._array(value, struct, member, path)
            elif member.name not in counts and self._is_given(struct, member.name):
                self._field(value, struct, member, path)
        for name in counts & {*names}:
            member = next(m for m in struct.members if m.name == name)
            self._note(value, struct, member, path)
        return value

    def _is_given(self, struct: Struct, name: str) -> bool:
        always = {*REQUIRED.get(struct.name, ()), "input_type"}
        return name in always or self._rng.random() < 0.8

    def _note(self, value: dict[str, Any], struct: Struct, member: Member, path: str) -> Place:
        name = member.name or ""
        sort = self._release.sort_of(member.type)
        place = Place(f"{path}.{name}", sort, struct, member, value, name)
        self.places.append(place)
        return place

    def _field(self, value: dict[str, Any], struct: Struct, member: Member, path: str) -> None:
        place = self._note(value, struct, member, path)
        inner = self._release.structs.get(member.type.base)
        if inner is not None:
            value[place.name] = self.structure(inner, place.path)
        elif names_file(place.name):
            value[place.name] = A_FILE
        elif place.sort == "array":
            low, high = int_range(member.type.base)
            some = [self._rng.randint(low, high) for _ in range(member.type.length or 0)]
            value[place.name] = self._rng.choice([None, some])
        else:
            value[place.name] = scalar_samples.right_scalar(self._rng, self._release, member.type)

    def _array(self, value: dict[str, Any], struct: Struct, member: Member, path: str) -> None:
        place = self._note(value, struct, member, path)
        rule = next(rule for rule in LENGTHS[struct.name] if rule.array == member.name)
        place.rows = math.prod(value.get(count, 1) for count in rule.counts)
        place.exact = rule.exact
        place.count = place.rows * (1 if rule.exact else WIDTH)
        base = member.type.base
        value[place.name] = scalar_samples.right_numbers(self._rng, base, place.count)

    def _union(self, value: dict[str, Any], member: Member, path: str) -> None:
        union = self._release.structs[member.type.base]
        numbers = self._release.enums["RKLLMInputType"]
        kind = value["input_type"]
        chosen = next(INPUT_MEMBERS[name] for name in numbers if kind in (name, numbers[name]))
        self._field(value, union, next(m for m in union.members if m.name == chosen), path)
