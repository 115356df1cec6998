"""From an encoder's outputs to the rows that a model takes."""

from __future__ import annotations

from collections.abc import Sequence


def interleaved(outputs: Sequence[bytes | bytearray | memoryview], tokens: int) -> bytes:
    """Return the rows of several outputs, token by token.

    Qwen3-VL's encoder has an output of embeddings and three of deepstack. Its model takes, of each
    token in turn, the row of each output (Rockchip's demonstration, 1.2.3 and later).

    :param outputs: the bytes of each output; each has ``tokens`` rows.
    :param tokens: of the picture.
    :raises ValueError: an output does not have so many equal rows.
    """
    views = [memoryview(output).cast("B") for output in outputs]
    if not views or tokens < 1 or any(not view or len(view) % tokens for view in views):
        lengths = ", ".join(str(len(view)) for view in views) or "no"
        raise ValueError(f"outputs of {lengths} bytes do not hold {tokens} rows each")
    if len(views) == 1:
        return bytes(views[0])
    widths = [len(view) // tokens for view in views]
    return b"".join(
        view[token * width : (token + 1) * width]
        for token in range(tokens)
        for view, width in zip(views, widths, strict=True)
    )
