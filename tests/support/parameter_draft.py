"""A set of valid parameters that is made wrong step by step."""

from __future__ import annotations

from collections.abc import Container
from random import Random
from typing import Any

import attrs
from valid_parameters import Place

from rkllm_twisted.abi.arguments import Signature
from rkllm_twisted.abi.declarations import Function
from rkllm_twisted.abi.release import Release


@attrs.define
class Draft:
    """A set of parameters while it is made wrong.

    :param given: by C's names; right until a way of spoiling has been at it.
    :param positional: may the set still be sent as a list?
    """

    release: Release
    function: Function
    rng: Random
    given: Any = attrs.field(factory=dict)
    positional: bool = True
    places: list[Place] = attrs.field(factory=list)

    @property
    def signature(self) -> Signature:
        """The function's slots: the client's and the daemon's."""
        return Signature.of(self.function)

    def some(self, *sorts: str) -> Place | None:
        """Choose a field of these sorts at any depth; None if there is none."""
        found = [place for place in self.places if place.sort in sorts]
        return self.rng.choice(found) if found else None

    def some_object(self, structs: Container[str]) -> Place | None:
        """Choose a whole structure of one of these names."""
        found = [p for p in self.places if p.sort == "object" and p.struct.name in structs]
        return self.rng.choice(found) if found else None


def sent(draft: Draft) -> Any:
    """The set by name, or in C's order with null in the daemon's slots (optional at the end)."""
    if not draft.positional or draft.rng.random() < 0.5:
        return draft.given
    values = [draft.given.get(slot.name) for slot in draft.signature.slots]
    # A list that begins with null is clear only if all slots are there, or none takes null.
    is_clear = not any(own.nullable for own in draft.signature.own[:1])
    while is_clear and values and values[-1] is None and draft.rng.random() < 0.5:
        values.pop()
    first = draft.signature.slots[0].type.base if draft.signature.slots else ""
    no_handle = first == "LLMHandle" and len(values) > 1 and values[1] is not None
    return values[1:] if no_handle and draft.rng.random() < 0.5 else values
