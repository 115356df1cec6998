"""Lets a test drive a JSON-RPC library: orders come on stdin, events go to stdout."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, BinaryIO, NamedTuple, Protocol

Message = dict[str, Any]
_one_at_a_time = threading.Lock()


class Called(NamedTuple):
    """A request under way."""

    answer: Future[Any]
    cancel: Callable[[], object]


class Peer(Protocol):
    """The part of a client program that wraps its library."""

    def receive(self, message: Message) -> None:
        """Take a message from the daemon."""

    def call(self, method: str, params: Any) -> Called:
        """Send a request."""


def tell(**event: Any) -> None:
    """Print an event; replies arrive on a different thread from orders."""
    with _one_at_a_time:
        print(json.dumps(event), flush=True)


def notified(params: Any) -> None:
    """Report a notification."""
    tell(event="notified", params=params)


def heading(message: Message) -> Message:
    return {"id": message.get("id"), "method": message.get("method")}


def frame(payload: bytes, framing: str) -> bytes:
    return payload + b"\n" if framing == "lines" else b"%d:%b," % (len(payload), payload)


def next_payload(stream: BinaryIO, framing: str) -> bytes:
    """Read one message; return no bytes at the end of the input."""
    if framing == "lines":
        return stream.readline()
    digits = b""
    while (byte := stream.read(1)) not in (b":", b""):
        digits += byte
    payload = stream.read(int(digits or b"0"))
    stream.read(1)
    return payload


def drive(make_peer: Callable[[Callable[[Message], None]], Peer]) -> None:
    """Serve the test until it closes stdin.

    :param make_peer: gets the function that sends a message.
    """
    path, framing = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)

        def send(message: Message) -> None:
            tell(event="sent", **heading(message))
            connection.sendall(frame(json.dumps(message).encode(), framing))

        peer = make_peer(send)
        reader = threading.Thread(target=listen, args=(connection, framing, peer))
        reader.start()
        obey(peer)
        connection.shutdown(socket.SHUT_RDWR)
        reader.join()


def listen(connection: socket.socket, framing: str, peer: Peer) -> None:
    """Pass the arriving messages to the peer."""
    with connection.makefile("rb") as stream:
        while payload := next_payload(stream, framing):
            message = json.loads(payload)
            tell(event="arrived", **heading(message))
            peer.receive(message)


def obey(peer: Peer) -> None:
    """Carry out one order of the test."""
    calls: dict[str, Called] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "cancel" in order:
            calls[order["cancel"]].cancel()
        else:
            calls[order["call"]] = peer.call(order["method"], order["params"])
            calls[order["call"]].answer.add_done_callback(teller(order["call"]))


def teller(call: str) -> Callable[[Future[Any]], None]:
    """Make a callback that reports how a call ended."""

    def ended(answer: Future[Any]) -> None:
        error: Any = answer.exception()
        if error is None:
            tell(event="result", call=call, value=answer.result())
            return
        about = {name: getattr(error, name, None) for name in ("code", "message", "data")}
        tell(event="error", call=call, kind=type(error).__name__, **about)

    return ended
