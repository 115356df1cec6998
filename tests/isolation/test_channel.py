"""The daemon's end of the connection to a child, whose library may write to any descriptor."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.result_copy import CallbackCopy, ResultCopy
from rkllm_twisted.errors import InvalidParams, RuntimeCrashed
from rkllm_twisted.isolation import frames
from rkllm_twisted.isolation.channel import GARBLED, Channel, ChildExit
from rkllm_twisted.isolation.frames import (
    CALLBACK,
    HEADER,
    ROW,
    FrameKind,
    ReturnFrame,
    encode_callback,
    signal_frame,
)
from rkllm_twisted.isolation.host_reader import one_by_one
from rkllm_twisted.isolation.remote_caller import Defaults, RemoteCaller
from rkllm_twisted.runtime.callback import ResultCallback

SIZE = 72
TOKEN = CallbackCopy(1, 0, (ResultCopy(bytes(SIZE), b"word"),))


def callback(body: bytes) -> bytes:
    """The frame of a callback."""
    return HEADER.pack(FrameKind.CALLBACK, 0, 0, len(body)) + body


def read(child: socket.socket, size: int) -> bytes:
    """So many bytes; a timeout, if they do not come."""
    child.settimeout(10)
    data = bytearray()
    while len(data) < size:
        data += child.recv(size - len(data))
    return bytes(data)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel and the child's end."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours, SIZE)
    yield channel, theirs
    theirs.close()
    channel.set_exit(ChildExit(None, 0, ()))


@pytest.mark.parametrize(
    "data",
    [
        b"x" * HEADER.size,
        HEADER.pack(FrameKind.RETURN, 0, 1, 2**40),
        HEADER.pack(FrameKind.RETURN, 1, 1, 0),
        HEADER.pack(FrameKind.RETURN, 0, 1, 2) + b"no",
        HEADER.pack(FrameKind.CALL, 0, 1, 0),
        HEADER.pack(FrameKind.CALLBACK, 0, 0, 3) + b"no!",
        callback(CALLBACK.pack(0, 256, 1)),
        callback(CALLBACK.pack(0, 1, 1) + ROW.pack(3, 0, 0) + bytes(SIZE) + b"ab"),
        callback(CALLBACK.pack(0, 1, 1) + ROW.pack(1, 0, 0) + bytes(SIZE) + b"ab"),
        callback(CALLBACK.pack(0, 1, 1) + ROW.pack(1, 2**63, 2**63) + bytes(SIZE) + b"a"),
    ],
)
def test_what_is_no_frame_is_the_fault_of_the_child(
    ends: tuple[Channel, socket.socket], data: bytes
) -> None:
    """It is no exception of the parser's."""
    channel, child = ends
    child.sendall(data)
    assert (channel.receive(), channel.fault) == ([], GARBLED)


def test_the_end_of_the_connection_is_no_fault(ends: tuple[Channel, socket.socket]) -> None:
    """A child that crashes ends it."""
    channel, child = ends
    child.sendall(encode_callback(TOKEN))
    child.shutdown(socket.SHUT_RDWR)
    assert [*one_by_one(channel.receive())] == [TOKEN]
    assert (channel.receive(), channel.fault) == ([], None)


@given(st.binary(min_size=1, max_size=60))
def test_no_bytes_raise_an_error(data: bytes) -> None:
    """Whatever comes is messages, an end or a fault."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours, SIZE)
    theirs.sendall(data)
    theirs.close()
    while channel.receive():
        pass
    channel.set_exit(ChildExit(None, 0, ()))


def test_a_call_that_no_frame_can_have_is_refused(
    ends: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns why, and the child nothing: it makes the next call."""
    layout = layout_of(releases()["1.3.0"])
    caller = RemoteCaller(ends[0], layout, Defaults(b"", ()), lambda *_: RuntimeCrashed("ended"))
    caller.listen(ResultCallback(layout, lambda: None))
    with monkeypatch.context() as patches:
        patches.setattr(frames, "MAX_BODY_BYTES", 100)
        with pytest.raises(InvalidParams, match="rkllm_destroy have 0 bytes; at most 2 GiB go"):
            caller.call("rkllm_destroy", [ctypes.c_void_p()])
    ends[1].sendall(ReturnFrame(2, 5, False).encode())
    assert caller.call("rkllm_destroy", [ctypes.c_void_p()]) == 5


def test_the_tokens_of_one_read_are_passed_on_together() -> None:
    """From there one call of the reactor's delivers them, and one send writes them."""
    layout = layout_of(releases()["1.3.0"])
    ours, child = socket.socketpair()
    size = ctypes.sizeof(layout.structs["RKLLMResult"])
    channel, callback = Channel(ours, size), ResultCallback(layout, lambda: None)
    caller = RemoteCaller(channel, layout, Defaults(b"", ()), lambda *_: RuntimeCrashed("ended"))
    caller.listen(callback)
    reads: list[list[object]] = []
    run = callback.begin(1, lambda results: reads.append([result["text"] for result in results]))
    words = [b"one", b"two", b"three"]
    tokens = [CallbackCopy(run.number, 0, (ResultCopy(bytes(size), word),)) for word in words]
    with child:
        child.sendall(b"".join([*map(encode_callback, tokens), ReturnFrame(1, 0, True).encode()]))
        assert caller.call("rkllm_destroy", [ctypes.c_void_p()]) == 0
    channel.set_exit(ChildExit(None, 0, ()))
    assert reads == [["one", "two", "three"]]


def test_a_signal_does_not_wait_for_a_child_that_reads_nothing(
    ends: tuple[Channel, socket.socket],
) -> None:
    """It follows the call that is being sent; the reactor sends it."""
    channel, child = ends
    call, abort = b"c" * 2**20, signal_frame(FrameKind.ABORT, 1)
    sender = threading.Thread(target=channel.send, args=(call,), daemon=True)
    sender.start()
    assert child.recv(1) == b"c", "it has begun"
    signaller = threading.Thread(target=channel.signal, args=(abort,), daemon=True)
    signaller.start()
    signaller.join(10)
    assert (signaller.is_alive(), sender.is_alive()) == (False, True)
    assert read(child, len(call) + len(abort) - 1) == call[1:] + abort


@pytest.mark.parametrize("size", [2**20, 1_130_000, 8_404_000])
def test_a_signal_for_which_there_is_no_room_goes_when_there_is(size: int) -> None:
    """The sizes of calls that end where the connection is full, or not."""
    ours, child = socket.socketpair()
    channel, abort = Channel(ours, SIZE), signal_frame(FrameKind.ABORT, 1)
    sender = threading.Thread(target=channel.send, args=(b"c" * size,), daemon=True)
    with child:
        sender.start()
        received = b""
        while sender.is_alive():  # until the rest is in the connection
            received += child.recv(4096)
            sender.join(0.0001)
        channel.signal(abort)
        received += read(child, size + len(abort) - len(received))
    assert received == b"c" * size + abort
    channel.set_exit(ChildExit(None, 0, ()))


def test_a_signal_is_not_sent_twice_while_it_waits() -> None:
    ours, child = socket.socketpair()
    channel, abort = Channel(ours, SIZE), signal_frame(FrameKind.ABORT, 1)
    with child:
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += ours.send(b"x", socket.MSG_DONTWAIT)
        for _ in range(1000):
            channel.signal(abort)
        assert read(child, sent) == b"x" * sent
        assert read(child, len(abort)) == abort
        channel.send(b"call")
        assert child.recv(100) == b"call"
    channel.set_exit(ChildExit(None, 0, ()))
