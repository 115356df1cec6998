"""Results as C would send them in a long answer, the same ones each time."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator
from typing import Any

from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.values import RunState

EURO, SMILE = "€".encode(), "😀".encode()
#: State and text of callbacks that follow each other.
PIECES: tuple[tuple[tuple[int, bytes | None], ...], ...] = (
    ((RunState.NORMAL, b" the"),),
    ((RunState.NORMAL, b" list"),),
    ((RunState.NORMAL, b"\n"),),
    ((RunState.NORMAL, '"quoted" \\ \u2028 ü \x00\x7f'.encode()),),
    ((RunState.NORMAL, "日本語".encode()),),
    ((RunState.NORMAL, b""),),
    ((RunState.NORMAL, None),),
    ((RunState.NORMAL, b"a\xffb"),),
    ((RunState.NORMAL, EURO[:2]), (RunState.NORMAL, EURO[2:])),
    ((RunState.WAITING, SMILE[:3]), (RunState.NORMAL, SMILE)),
    ((RunState.WAITING, SMILE[:1]), (RunState.NORMAL, SMILE[1:])),
    ((RunState.WAITING, EURO[:2]), (RunState.NORMAL, b"x")),
    ((RunState.NORMAL, EURO[:1]), (RunState.WAITING, b"y"), (RunState.NORMAL, EURO[1:])),
)
FLOATS = (ctypes.c_float * 4)(0.1, -2.5, 1e-30, float("nan"))


def corpus(layout: Layout, callbacks: int) -> Iterator[tuple[int, CData]]:
    """Yield the state and the structure of so many callbacks, and a few more."""
    made = number = 0
    constant: dict[str, Any] = {}
    while made < callbacks:
        dice = hashlib.sha256(b"%d" % number).digest()
        number += 1
        if dice[0] < 4:  # seldom: in a real answer these change at its end only
            constant = _constant(layout, dice)
        for state, text in PIECES[dice[1] % len(PIECES) if dice[2] < 100 else 0]:
            token_id = int.from_bytes(dice[4:8], "little", signed=True)
            yield (
                state,
                layout.structs["RKLLMResult"](text=text, token_id=token_id, **constant),
            )
            made += 1


def _constant(layout: Layout, dice: bytes) -> dict[str, Any]:
    """Return values of the fields that stay the same from token to token."""
    structs = layout.structs
    pointer = ctypes.cast(FLOATS, ctypes.POINTER(ctypes.c_float)) if dice[8] < 64 else None
    values: dict[str, Any] = {
        "last_hidden_layer": structs["RKLLMResultLastHiddenLayer"](pointer, 2, dice[9] % 3)
    }
    if "RKLLMResultLogits" in structs:
        values["logits"] = structs["RKLLMResultLogits"](pointer, 4, dice[10] % 2)
    if "RKLLMPerfStat" in structs:
        values["perf"] = structs["RKLLMPerfStat"](
            dice[11] / 7, dice[12], 0.9, dice[13], float("inf") if dice[14] < 32 else 64.5
        )
    return values
