"""Frames come out as they went in, however they are divided, and no bytes raise another error."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.abi.image import Argument, ArgumentPlace, CallImage, Relocation
from rkllm_twisted.abi.result_copy import CallbackCopy, ResultCopy, TokenCopies
from rkllm_twisted.isolation import frames
from rkllm_twisted.isolation.frames import (
    HEADER,
    BadFrame,
    CallFrame,
    FrameKind,
    FrameReader,
    ReturnFrame,
    encode_callback,
    signal_frame,
)
from rkllm_twisted.isolation.host_reader import MAX_HEADS, HostReader, one_by_one

SIZE = 32
NUMBERS = st.integers(0, 2**64 - 1)
OFFSETS = st.integers(0, 2**32 - 1)
PLACES = st.sampled_from(ArgumentPlace)
BYTES = st.binary(max_size=40)
COPIES = st.builds(
    CallbackCopy,
    userdata=NUMBERS,
    state=st.integers(0, 4),
    rows=st.lists(
        st.builds(
            ResultCopy,
            structure=st.binary(min_size=SIZE, max_size=SIZE),
            text=st.none() | BYTES,
            arrays=st.tuples(BYTES, BYTES),
        ),
        max_size=3,
    ).map(tuple),
)
#: What most callbacks are: of one of two runs, of one row without arrays.
TOKENS = st.builds(
    lambda userdata, structure, text: CallbackCopy(userdata, 0, (ResultCopy(structure, text),)),
    st.sampled_from([1, 2]),
    st.binary(min_size=SIZE, max_size=SIZE),
    BYTES,
)
RETURNS = st.builds(
    ReturnFrame,
    number=NUMBERS,
    status=st.integers(-(2**31), 2**31 - 1),
    has_handle=st.booleans(),
    outputs=BYTES,
)


def encoded(frame: CallbackCopy | ReturnFrame) -> bytes:
    """The bytes of what a host sends."""
    return encode_callback(frame) if isinstance(frame, CallbackCopy) else frame.encode()


@given(st.lists(TOKENS | COPIES | RETURNS, max_size=6), st.lists(st.integers(1, 90)))
def test_what_a_host_sends_is_read_whole_and_in_parts(sent: list[Any], cuts: list[int]) -> None:
    """Byte by byte at the end, and with the beginning of another frame behind."""
    data = b"".join(map(encoded, sent)) + HEADER.pack(FrameKind.RETURN, 0, 0, 99)[:-1]
    assert [*one_by_one(HostReader(SIZE).feed(data))] == sent
    reader, found = HostReader(SIZE), []
    for size in [*cuts, *[1] * len(data)]:
        found += one_by_one(reader.feed(data[:size]))
        data = data[size:]
    assert found == sent


@pytest.mark.parametrize("largest", [0, 2**24])
def test_large_frames_are_read_whole_and_in_parts(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between tokens, cut anywhere near their ends; also beyond what has its memory at once."""
    monkeypatch.setattr(frames, "MAX_AT_ONCE_BYTES", largest)
    structure = bytes(range(SIZE))
    token = CallbackCopy(1, 0, (ResultCopy(structure, b"a"),))
    row = CallbackCopy(1, 0, (ResultCopy(structure, None, (b"", bytes(range(256)) * 300)),))
    end = ReturnFrame(1, 0, has_handle=True)
    sent = [token, row, row, token, row, end]
    data = b"".join(map(encoded, sent))
    assert len(encoded(row)) > frames.LARGE_BYTES
    assert [*one_by_one(HostReader(SIZE).feed(data))] == sent
    first = len(encoded(token)) + len(encoded(row))
    for cut in (1, 50, first - 70_000, first - 1, first, first + 1, first + 30, len(data) - 1):
        reader = HostReader(SIZE)
        found = [*reader.feed(data[:cut]), *reader.feed(memoryview(data)[cut:])]
        assert [*one_by_one(found)] == sent
    reader, found = HostReader(SIZE), []
    for at in range(0, len(data), 9_999):
        found += reader.feed(data[at : at + 9_999])
    assert [*one_by_one(found)] == sent


def test_memory_for_a_frame_of_2_gib_is_taken_as_its_bytes_come() -> None:
    """A library may write to the connection what looks like its header."""
    reader = FrameReader()
    tracemalloc.start()
    try:
        assert not reader.feed(HEADER.pack(FrameKind.CALLBACK, 0, 0, 2**31 - 1) + b"x")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_tokens_that_follow_each_other_are_read_together() -> None:
    """Up to what is none, or is of another run; however many lengths they have."""
    structure = bytes(range(SIZE))

    def token(userdata: int, text: bytes) -> CallbackCopy:
        return CallbackCopy(userdata, 0, (ResultCopy(structure, text),))

    texts = [b"x" * length for length in (*range(MAX_HEADS + 5), 3)]
    waiting = token(1, b"half")._replace(state=1)
    end = ReturnFrame(1, 0, has_handle=True)
    others = [token(1, b"a"), token(2, b"b"), token(2, b"c")]
    sent = [*[token(1, text) for text in texts], waiting, *others, end]
    found = HostReader(SIZE).feed(b"".join(map(encoded, sent)))
    many = TokenCopies(1, [structure] * len(texts), texts)
    a, c = TokenCopies(1, [structure], [b"a"]), TokenCopies(2, [structure], [b"c"])
    assert found == [many, waiting, a, others[1], c, end]


@given(
    st.builds(
        CallFrame,
        number=NUMBERS,
        function=st.text("abc_", min_size=1, max_size=39),
        image=st.builds(
            CallImage,
            arguments=st.lists(st.builds(Argument, PLACES, NUMBERS), max_size=6).map(tuple),
            relocations=st.lists(st.builds(Relocation, PLACES, OFFSETS, NUMBERS)).map(tuple),
            segments=st.just((b"0123456789abcdef",)),
            size=st.just(16),
            outputs=st.integers(0, 16),
            descriptors=st.just((-1, -1)),
        ),
        mark=st.binary(max_size=44).map(lambda data: data.replace(b"\0", b"x")),
        rows=st.integers(0, 255),
        flags=st.integers(0, 1),
        userdata=NUMBERS,
    )
)
def test_a_call_is_read_as_it_was_written(frame: CallFrame) -> None:
    """The reference host reads every part of it."""
    data = b"".join(bytes(part) for part in frame.encode()) + signal_frame(FrameKind.ABORT, 5)
    [(kind, number, body), abort] = FrameReader().feed(data)
    assert (kind, CallFrame.decode(number, body)) == (FrameKind.CALL, frame)
    assert abort == (FrameKind.ABORT, 5, b"")


@given(st.binary(max_size=200))
def test_no_body_of_a_call_raises_another_error(body: bytes) -> None:
    """A damaged one is a BadFrame."""
    with contextlib.suppress(BadFrame):
        CallFrame.decode(1, body)


@given(st.sampled_from([FrameKind.CALLBACK, FrameKind.RETURN]), st.binary(max_size=200))
def test_no_body_of_a_host_raises_another_error(kind: FrameKind, body: bytes) -> None:
    """Whatever a library writes to the connection."""
    with contextlib.suppress(BadFrame):
        HostReader(SIZE).feed(HEADER.pack(kind, 0, 1, len(body)) + body)


def test_a_call_that_is_too_large_is_refused() -> None:
    """The header could not say its size."""
    image = CallImage((), (), (), 2**31, 0)
    with pytest.raises(OverflowError):
        CallFrame(1, "rkllm_run", image).encode()
