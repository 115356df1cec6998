"""RKLLMResults that another process has copied: its structures, texts and arrays as bytes.

No pointer of the other process is followed here, and nothing that its library writes is believed:
each length is compared with the counts in the structure.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import attrs
import msgspec

from rkllm_twisted.abi.from_c import SHAPES, to_json
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.release import Release
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import FloatArray

RESULT = "RKLLMResult"


@attrs.frozen
class ResultOffsets:
    """The places in an RKLLMResult that a process needs to copy one, in bytes from its start.

    The two counts of an array are ``int``, one after the other. 0: the release has no such array.
    """

    text: int
    hidden_states: int
    hidden_counts: int
    logits: int
    logits_counts: int
    size: int

    @classmethod
    def of(cls, release: Release) -> ResultOffsets:
        """Return those of a release."""
        struct = release.structs[RESULT]
        outer = {member.name: member for member in struct.members}
        places: list[int] = []
        for parent, name in (("last_hidden_layer", "hidden_states"), ("logits", "logits")):
            if parent not in outer:
                places += (0, 0)
                continue
            members = release.structs[outer[parent].type.base].members
            inner = {member.name: member.offset for member in members}
            start = outer[parent].offset
            counts = sorted(inner[count] for count in SHAPES[name])
            assert counts[1] == counts[0] + ctypes.sizeof(ctypes.c_int), name
            places += (start + inner[name], start + counts[0])
        hidden, hidden_counts, logits, logits_counts = places
        text = outer["text"].offset
        return cls(text, hidden, hidden_counts, logits, logits_counts, struct.size)


class ResultCopy(NamedTuple):
    """One RKLLMResult.

    :param structure: its bytes, whose pointers mean nothing here.
    :param text: the bytes of its text; None: NULL.
    :param arrays: its hidden states and its logits.
    """

    structure: bytes
    text: bytes | None
    arrays: tuple[bytes, bytes] = (b"", b"")


class CallbackCopy(NamedTuple):
    """What one callback brought.

    :param userdata: of the run.
    :param rows: one for each row of the batch; none if the result was NULL.
    """

    userdata: int
    state: int
    rows: tuple[ResultCopy, ...]


class TokenCopies(msgspec.Struct, frozen=True):
    """What callbacks that followed each other brought: tokens, nearly all there is.

    Each is in state NORMAL and has one row with a text and without arrays.

    :param userdata: of the run.
    :param structures: the bytes of each.
    :param texts: the bytes of each one's text.
    """

    userdata: int
    structures: list[bytes]
    texts: list[bytes]

    def copies(self) -> Iterator[CallbackCopy]:
        """Yield each by itself."""
        for structure, text in zip(self.structures, self.texts, strict=True):
            yield CallbackCopy(self.userdata, 0, (ResultCopy(structure, text),))


def structure_of(layout: Layout, copy: ResultCopy) -> CData:
    """Make the structure again, with pointers to the copies.

    :raises ValueError: an array has another length than its counts say.
    :raises RuntimeRefused: an array was left out: it is larger than one message may be.
    """
    result = layout.structs[RESULT].from_buffer_copy(copy.structure)
    result.text = copy.text
    for parent, name, data, _ in _checked_arrays(layout, result, copy):
        holder = getattr(result, parent)
        kind = type(getattr(holder, name))
        setattr(holder, name, ctypes.cast(ctypes.c_char_p(data), kind) if data else None)
    return result


def fields_of(layout: Layout, copy: ResultCopy) -> dict[str, object]:
    """Return what :func:`.to_json` returns of the structure, without a copy of its arrays.

    The text is left out.

    :raises: see :func:`structure_of`.
    """
    result = layout.structs[RESULT].from_buffer_copy(copy.structure)
    arrays = list(_checked_arrays(layout, result, copy))
    result.text = None
    for parent, name, _, _ in arrays:
        setattr(getattr(result, parent), name, None)
    fields: dict[str, Any] = to_json(layout, result)
    for parent, name, data, shape in arrays:
        if data:
            fields[parent][name] = FloatArray(data, shape)
    return fields


def _checked_arrays(
    layout: Layout, result: CData, copy: ResultCopy
) -> Iterator[tuple[str, str, bytes, tuple[int, ...]]]:
    """Yield each array's places in a result, its bytes and its shape."""
    for (parent, name), data in zip(_arrays(layout.release), copy.arrays, strict=False):
        holder = getattr(result, parent)
        shape = tuple(getattr(holder, count) for count in SHAPES[name])
        due = 4 * math.prod(shape) if min(shape) > 0 and getattr(holder, name) else 0
        if due and not data:
            raise RuntimeRefused(
                f"The run's {name} would be {shape[0]} * {shape[1]} floats; at most 2 GiB of arrays"
                " reach the daemon. Make the prompt shorter.",
                {"field": name, "shape": list(shape)},
            )
        if len(data) != due:
            raise ValueError(f"{name} has {len(data)} bytes, not {due}")
        yield parent, name, data, shape


@cache
def _arrays(release: Release) -> tuple[tuple[str, str], ...]:
    return tuple(_find_arrays(release))


def _find_arrays(release: Release) -> Iterator[tuple[str, str]]:
    for member in release.structs[RESULT].members:
        for name in SHAPES:
            inner = release.structs.get(member.type.base)
            if inner and any(one.name == name for one in inner.members):
                yield str(member.name), name
