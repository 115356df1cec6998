"""Reads the header of a GGUF file: facts about the model, and the length that the file must have.

The source is the format's specification (ggml, docs/gguf.md, versions 2 and 3). Every length that
a file states is bounded, since a file may state any number.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from rkllm_twisted.formats.reading import Cursor, ReadAt

MAGIC = b"GGUF"
#: The longest header in bytes. One with the largest vocabularies in use (260,000 tokens and their
#: merges) has about 20 MB.
MAX_HEADER_BYTES = 1 << 28
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 20
#: The most elements of an array of texts: 16 times those of the vocabularies in use.
MAX_ELEMENTS = 1 << 22
#: The longest text in bytes; templates have up to 20 KB.
MAX_TEXT_BYTES = 1 << 20
#: The most bytes of metadata; texts beyond them are left out.
MAX_METADATA_BYTES = 1 << 22
#: The longest name in bytes, by the specification.
_MAX_NAME_BYTES = 1 << 16
_MAX_DIMENSIONS = 8

#: The type of a value -> its layout for :mod:`struct`; texts (8) and arrays (9) are not here.
LAYOUTS: Mapping[int, str] = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
#: See :func:`read_metadata`.
TakeArray = Callable[[str, Cursor, int, int], bool]


def _none(_: str, __: Cursor, ___: int, ____: int) -> bool:
    """Take no array."""
    return False


@attrs.frozen
class TensorType:
    """A storage format of numbers: ``count`` numbers take ``size`` bytes."""

    name: str
    count: int
    size: int


#: The types by the number in the file (``enum ggml_type`` of ggml.h), without those that only
#: computing uses.
TENSOR_TYPES: Mapping[int, TensorType] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
}


@attrs.frozen
class GGUFHeader:
    """The facts in the header of a GGUF file.

    :param metadata: its keys, without arrays and long texts.
    :param parameters: the number of the model's parameters.
    :param quantization: the type of most of them, e.g. ``Q8_0``; None for a type not known here.
    :param length: the least length of the file in bytes.
    """

    metadata: Mapping[str, object] = attrs.field(repr=False)
    parameters: int
    quantization: str | None
    length: int

    def text(self, key: str) -> str | None:
        """Return a text of the metadata; None if the key is missing, or its value is no text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def count(self, key: str) -> int | None:
        """Return a whole number above 0 of the metadata; None if there is no such value."""
        value = self.metadata.get(key)
        return value if type(value) is int and value > 0 else None

    @property
    def architecture(self) -> str | None:
        """The model's architecture, e.g. ``llama``."""
        return self.text("general.architecture")

    @property
    def role(self) -> str:
        """The role of the file: ``model``, ``adapter``, ``projector`` or ``part`` (of several)."""
        if (self.count("split.count") or 1) > 1:
            return "part"
        if self.architecture == "clip" or self.text("general.type") == "mmproj":
            return "projector"
        return "adapter" if self.text("general.type") == "adapter" else "model"

    @property
    def name(self) -> str | None:
        """The model's own name."""
        return self.text("general.name")

    @property
    def context(self) -> int | None:
        """The context in tokens that the model was trained with."""
        return self.count(f"{self.architecture}.context_length")

    @property
    def template(self) -> str | None:
        """The chat template (Jinja)."""
        return self.text("tokenizer.chat_template")


def read_gguf(read: ReadAt, size: int) -> GGUFHeader:
    """Read the header of a file that begins with :data:`MAGIC`.

    :param size: the size of the file in bytes.
    :raises EndsEarly: the file ends within its header.
    :raises ValueError: it is no known GGUF; the text has the reason, in words that follow "it".
    """
    cursor = Cursor(read, size, MAX_HEADER_BYTES)
    tensors, keys = _counts(cursor)
    metadata = _metadata(cursor, keys)
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment <= 0:
        raise ValueError("has a general.alignment that is no number above 0")
    found, ends = _tensors(cursor, tensors)
    start = math.ceil(cursor.at / alignment) * alignment
    most = TENSOR_TYPES.get(max(found, key=found.__getitem__, default=-1))
    return GGUFHeader(metadata, found.total(), most.name if most else None, start + ends)


def read_metadata(read: ReadAt, size: int, take: TakeArray) -> Mapping[str, object]:
    """Read the metadata of a file, and those of its arrays that a function takes.

    :param size: the size of the file in bytes.
    :param take: called with the name of an array, the cursor at its first element, the type of its
        elements and their number. It reads them and returns True, or reads nothing.
    :raises ValueError: as :func:`read_gguf`.
    """
    cursor = Cursor(read, size, MAX_HEADER_BYTES)
    _, keys = _counts(cursor)
    return _metadata(cursor, keys, take)


def _counts(cursor: Cursor) -> tuple[int, int]:
    """Return how many tensors and keys a file has."""
    if cursor.take(4) != MAGIC:
        raise ValueError("does not begin as GGUF does")
    version = cursor.number("I")
    if version not in (2, 3):
        big = version & 0xFFFF == 0
        raise ValueError("is in big-endian order" if big else f"has version {version} of GGUF")
    tensors, keys = cursor.number("Q"), cursor.number("Q")
    if keys > MAX_KEYS or tensors > MAX_TENSORS:
        raise ValueError(f"claims {keys} keys and {tensors} tensors")
    return tensors, keys


def _metadata(cursor: Cursor, keys: int, take: TakeArray = _none) -> Mapping[str, object]:
    metadata: dict[str, object] = {}
    room = MAX_METADATA_BYTES
    for _ in range(keys):
        name = _text(cursor, _MAX_NAME_BYTES)
        value = _value(cursor, cursor.number("I"), name or "", take)
        room -= len(name or "") + (len(value) if isinstance(value, str) else 8)
        if name and value is not None and room > 0:
            metadata[name] = value
    return metadata


def _text(cursor: Cursor, longest: int) -> str | None:
    """Return a text; None if it is longer than the limit."""
    length = cursor.number("Q")
    if length > longest:
        cursor.skip(length)
        return None
    return cursor.take(length).decode("utf-8", "replace")


def _value(cursor: Cursor, kind: int, name: str, take: TakeArray) -> object:
    if kind == _TEXT:
        return _text(cursor, MAX_TEXT_BYTES)
    if kind == _ARRAY:
        elements, count = cursor.number("I"), cursor.number("Q")
        if not take(name, cursor, elements, count):
            _skip_array(cursor, elements, count)
        return None
    layout = _layout(kind)
    value: object = struct.unpack(f"<{layout}", cursor.take(struct.calcsize(layout)))[0]
    return value


def _layout(kind: int) -> str:
    if kind not in LAYOUTS:  # also an array of arrays: no model has one
        raise ValueError(f"has a value of type {kind}, which is not known")
    return LAYOUTS[kind]


def _skip_array(cursor: Cursor, kind: int, count: int) -> None:
    if kind != _TEXT:
        cursor.skip(count * struct.calcsize(_layout(kind)))
    elif count > MAX_ELEMENTS:
        raise ValueError(f"claims an array of {count} texts")
    else:
        cursor.skip_texts(count)


def _tensors(cursor: Cursor, count: int) -> tuple[Counter[int], int]:
    """Return the numbers of each type, and the last tensor's end behind the header in bytes."""
    found: Counter[int] = Counter()
    end = 0
    for _ in range(count):
        _text(cursor, _MAX_NAME_BYTES)
        dimensions = cursor.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"has a tensor of {dimensions} dimensions")
        numbers = math.prod(struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions)))
        kind, offset = cursor.number("I"), cursor.number("Q")
        found[kind] += numbers
        known = TENSOR_TYPES.get(kind)
        end = max(end, offset + (numbers // known.count * known.size if known else 0))
    return found, end
