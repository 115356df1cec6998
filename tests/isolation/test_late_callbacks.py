"""A library that calls back late, too much, or changes the connection, disturbs no other run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from host_driver import HOSTS, Host, compiled, image, whole

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.result_copy import CallbackCopy, ResultOffsets, fields_of, structure_of
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.isolation import host_memory
from rkllm_twisted.isolation.frames import (
    AWAIT_END,
    CALLBACK,
    HEADER,
    ROW,
    CallFrame,
    FrameKind,
    ReturnFrame,
    encode_callback,
    signal_frame,
)
from rkllm_twisted.isolation.host_memory import ResultLayout

ABI = "1.3.0"
#: The userdata of the former run, and of the one under way.
FORMER, OWN = 7, 8


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library."""
    return compiled("late.c", tmp_path_factory.mktemp("late"))


def call(
    layout: Layout, number: int, function: str, prompt: str = "", userdata: int = 0
) -> CallFrame:
    """The call of a run; of rkllm_init without a prompt."""
    params = [{"prompt_input": prompt}] if prompt else [{"model_path": "/nowhere"}]
    flags = AWAIT_END if function == "rkllm_run_async" else 0
    made = image(layout, function, params, userdata=userdata)
    return CallFrame(number, function, made, rows=int(bool(prompt)), flags=flags, userdata=userdata)


def seen(received: list[CallbackCopy | ReturnFrame]) -> list[Any]:
    """The userdata, state and text of callbacks; returns as they are."""
    return [
        (one.userdata, one.state, one.rows[0].text) if isinstance(one, CallbackCopy) else one
        for one in received
    ]


@pytest.mark.parametrize("name", HOSTS)
def test_a_late_callback_neither_ends_nor_pauses_the_next_run(
    name: str, late: Path, start: Callable[..., Host]
) -> None:
    """It is not even sent: what it points to may be gone. It is told to go on."""
    layout = layout_of(releases()[ABI])
    host = start(late, ABI, name)
    host.send(whole(call(layout, 1, "rkllm_init")))
    host.until_return()
    host.send(whole(call(layout, 2, "rkllm_run", "first", FORMER)))
    assert seen(host.until_return()) == [(FORMER, 0, b"first"), ReturnFrame(2, 0, True)]
    host.send(whole(call(layout, 3, "rkllm_run_async", "go", OWN)))
    received = host.until_return()
    assert seen(received) == [
        (OWN, 0, b"own"),
        (OWN, 0, b"array"),
        (OWN, 2, None),
        ReturnFrame(3, 0, True),
    ]
    host.send(
        whole(call(layout, 4, "rkllm_run_async", "go", OWN)) + signal_frame(FrameKind.PAUSE, 4)
    )
    assert seen(host.until_return()) == [(OWN, 0, b"own"), ReturnFrame(4, 0, True)]
    destroy = CallFrame(5, "rkllm_destroy", image(layout, "rkllm_destroy", []))
    host.send(whole(destroy))  # it waits until all is printed
    host.until_return()
    _, printed = host.end()
    words = printed.split(b"\n")
    assert words[:7] == [b"own 0", b"late 0", b"late 0", b"late 0", b"own 0", b"own 2", b"own 0"]
    assert words[7:11] == [b"late 0", b"late 0", b"late 0", b"own 1"]


@pytest.mark.parametrize("name", HOSTS)
def test_a_run_that_was_aborted_before_it_was_entered_returns_at_once(
    name: str, late: Path, start: Callable[..., Host]
) -> None:
    """Nothing ends it: the library, which was not called, says for ever that something runs."""
    layout = layout_of(releases()[ABI])
    host = start(late, ABI, name)
    host.send(whole(call(layout, 1, "rkllm_init")))
    host.until_return()
    held = call(layout, 2, "rkllm_run", "hold", FORMER)
    waiting = call(layout, 3, "rkllm_run_async", "go", OWN)
    host.send(whole(held) + whole(waiting))
    host.send(signal_frame(FrameKind.ABORT, 3) + signal_frame(FrameKind.ABORT, 2))
    received = host.until_return()
    while len(received) < 2:
        received += host.until_return()
    assert received == [ReturnFrame(2, 0, True), ReturnFrame(3, 0, True)]


@pytest.mark.parametrize("name", HOSTS)
def test_a_connection_that_the_library_made_non_blocking_loses_nothing(
    name: str, late: Path, start: Callable[..., Host]
) -> None:
    """A part of a frame would be taken for the beginning of the next."""
    layout = layout_of(releases()[ABI])
    host = start(late, ABI, name)
    host.send(whole(call(layout, 1, "rkllm_init")))
    host.until_return()
    for number in (2, 3):
        host.send(whole(call(layout, number, "rkllm_run", "flood", OWN)))
        *texts, end = host.until_return()
        assert end == ReturnFrame(number, 0, True)
        assert [len(one[2]) for one in seen(texts)] == [99_999] * 100 + [5]


@pytest.mark.parametrize("name", HOSTS)
def test_arrays_that_no_frame_can_have_are_left_out(
    name: str, late: Path, start: Callable[..., Host]
) -> None:
    """From 2 GiB to far beyond what 32 bits can say; their memory is not read."""
    layout = layout_of(releases()[ABI])
    host = start(late, ABI, name)
    host.send(whole(call(layout, 1, "rkllm_init")))
    host.until_return()
    host.send(whole(call(layout, 2, "rkllm_run", "large", OWN)))
    *results, _own, end = host.until_return()
    assert end == ReturnFrame(2, 0, True)
    assert len(results) == 4
    for one in results:
        assert isinstance(one, CallbackCopy)
        [row] = one.rows
        assert row.arrays == (b"", b"")
        with pytest.raises(RuntimeRefused, match="Make the prompt shorter"):
            structure_of(layout, row)
        with pytest.raises(RuntimeRefused, match="Make the prompt shorter"):
            fields_of(layout, row)


def test_arrays_of_several_rows_share_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a row that do not fit are left out; those of a later one may fit."""
    layout = layout_of(releases()[ABI])
    offsets = ResultOffsets.of(releases()[ABI])
    numbers = (ctypes.c_float * 8)(*range(8))
    results = (layout.structs["RKLLMResult"] * 3)()
    for result, count in zip(results, (6, 8, 2), strict=True):
        result.logits.logits = numbers
        result.logits.vocab_size, result.logits.num_tokens = count, 1
    room = 4 * 8 + CALLBACK.size + 3 * (ROW.size + offsets.size)
    monkeypatch.setattr(host_memory, "MAX_BODY_BYTES", room)
    places = ResultLayout(*attrs.astuple(offsets), returns_int=1, keeps_arrays=1)
    copies = places.copies(ctypes.addressof(results), 3)
    assert [len(copy.arrays[1]) for copy in copies] == [24, 0, 8]
    for copy in (copies[0], copies[2]):
        fields = fields_of(layout, copy)
        assert fields == to_json(layout, structure_of(layout, copy))
        assert fields["logits"]["logits"].data == copy.arrays[1]  # type: ignore[index]
    assert len(encode_callback(CallbackCopy(1, 0, copies))) == HEADER.size + room
