"""The daemon's end of the connection to a child, whose library may write to any descriptor."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.isolation import messages
from rkllm_twisted.isolation.process import GARBLED, Channel, ChildExit
from rkllm_twisted.wire.framing import netstring

TOKEN = netstring(messages.pack(messages.Token(1, b"{}")))


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel and the child's end."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    theirs.close()
    channel.set_exit(ChildExit(None, 0, ()))


@pytest.mark.parametrize(
    "data",
    [
        b"not a netstring",
        b"99999999999:",
        netstring(b"\xff\xff not MessagePack"),
        netstring(b"\x81\xa4type\xa5Other"),
        netstring(messages.pack(messages.Token(1, b"{}")).replace(b"\xa5Token", b"\xa4Done\xc0")),
    ],
)
def test_what_is_no_message_is_the_fault_of_the_child(
    ends: tuple[Channel, socket.socket], data: bytes
) -> None:
    """It is no exception of the parser's."""
    channel, child = ends
    child.sendall(data)
    assert (channel.receive(), channel.fault) == ([], GARBLED)


def test_the_end_of_the_connection_is_no_fault(ends: tuple[Channel, socket.socket]) -> None:
    """A child that crashes ends it."""
    channel, child = ends
    child.sendall(TOKEN)
    child.shutdown(socket.SHUT_RDWR)
    assert channel.receive() == [messages.Token(1, b"{}")]
    assert (channel.receive(), channel.fault) == ([], None)


@given(st.binary(min_size=1, max_size=60))
def test_no_bytes_raise_an_error(data: bytes) -> None:
    """Whatever comes is messages, an end or a fault."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.sendall(data)
    theirs.close()
    while channel.receive():
        pass
    channel.set_exit(ChildExit(None, 0, ()))
