"""Write a GGUF model again with all its weights as F32: as_f32.py MODEL OUTPUT.

Two programs that compute with the same F32 weights must come to the same numbers; with Q8_0 weights
one may round the other factor, too.
"""

import struct
import sys
from pathlib import Path

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
F32, F16, Q8_0 = 0, 1, 8
ALIGNMENT = 32


class Reader:
    """Takes one thing after another."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        """One number."""
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        """A string with its length before it."""
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length : self.at]

    def skip_value(self, kind):
        """A key's value."""
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            element, count = self.take("I"), self.take("Q")
            for _ in range(count):
                self.skip_value(element)
        else:
            self.at += SIZES[kind]


def floats(data, offset, kind, count):
    """A tensor's values."""
    if kind == F32:
        return struct.unpack_from(f"<{count}f", data, offset)
    if kind == F16:
        return struct.unpack_from(f"<{count}e", data, offset)
    assert kind == Q8_0, f"tensor type {kind}"
    values = []
    for block in range(count // 32):
        scale, *numbers = struct.unpack_from("<e32b", data, offset + 34 * block)
        values += [scale * number for number in numbers]
    return values


def as_f32(data):
    """The whole file again."""
    reader = Reader(data)
    head = reader.data[:8]
    reader.at = 8
    n_tensors, n_keys = reader.take("Q"), reader.take("Q")
    start = reader.at
    for _ in range(n_keys):
        reader.text()
        reader.skip_value(reader.take("I"))
    keys = data[start : reader.at]
    tensors = []
    for _ in range(n_tensors):
        name, n_dims = reader.text(), reader.take("I")
        dims = [reader.take("Q") for _ in range(n_dims)]
        tensors.append((name, dims, reader.take("I"), reader.take("Q")))
    first = -(-reader.at // ALIGNMENT) * ALIGNMENT
    entries, body = b"", b""
    for name, dims, kind, offset in tensors:
        count = 1
        for dim in dims:
            count *= dim
        entries += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(dims))
        entries += struct.pack(f"<{len(dims)}QIQ", *dims, F32, len(body))
        body += struct.pack(f"<{count}f", *floats(data, first + offset, kind, count))
        body += bytes(-len(body) % ALIGNMENT)
    out = head + struct.pack("<QQ", n_tensors, n_keys) + keys + entries
    return out + bytes(-len(out) % ALIGNMENT) + body


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(as_f32(Path(sys.argv[1]).read_bytes()))
