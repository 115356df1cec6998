"""The clients' I/O-free core: its requests, and its reading of the daemon's bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.client_core.connection import ClientConnection
from rkllm_twisted.client_core.events import ErrorAnswer, Event, FinalAnswer, Notified, Part
from rkllm_twisted.errors import BY_CODE, InternalError, NotADaemon, RemoteError, RPCError
from rkllm_twisted.values import FloatArray
from rkllm_twisted.wire.framing import Netstrings, netstring

WHERE = "/tmp/rkllm.sock"


def asked(number: int = 2) -> ClientConnection:
    """Make a caller with some open requests, numbered from 1."""
    caller = ClientConnection(WHERE)
    for _ in range(number):
        caller.ask("m")
    return caller


def sent(data: bytes) -> Any:
    """Return the one message in the outgoing data."""
    (message,) = Netstrings().feed(data)
    return msgspec.json.decode(message)


def partial(number: object, result: object = "x") -> object:
    """Make a partial result as the daemon sends it."""
    return {"jsonrpc": "2.0", "method": "rkllm.result", "params": {"id": number, "result": result}}


def error(number: object, code: int, message: str = "No.", **more: object) -> object:
    """Make an error as the daemon sends it."""
    body = {"code": code, "message": message, **more}
    return {"jsonrpc": "2.0", "id": number, "error": body}


def comparable(event: Event) -> object:
    """Return an event with its class; an exception is replaced by its contents."""
    if not isinstance(event, ErrorAnswer):
        return type(event), event
    return (event.id, type(event.error), str(event.error), getattr(event.error, "data", None))


#: The daemon's messages to a client with open requests 1 and 2, and their meaning.
TALKS: dict[str, tuple[list[object], list[Event]]] = {
    "an answer": ([{"jsonrpc": "2.0", "id": 1, "result": [1, "ä"]}], [FinalAnswer(1, [1, "ä"])]),
    "an answer of null": ([{"jsonrpc": "2.0", "id": 1, "result": None}], [FinalAnswer(1, None)]),
    "a stream": (
        [partial(2, {"text": "a"}), partial(2, None), {"id": 2, "result": {"text": "b"}}],
        [Part(2, {"text": "a"}), Part(2, None), FinalAnswer(2, {"text": "b"})],
    ),
    "two streams at once": (
        [partial(1), partial(2), {"id": 2, "result": 0}, partial(1), {"id": 1, "result": 0}],
        [Part(1, "x"), Part(2, "x"), FinalAnswer(2, 0), Part(1, "x"), FinalAnswer(1, 0)],
    ),
    "an error": (
        [error(1, -32001, data={"a": 1})],
        [ErrorAnswer(1, BY_CODE[-32001]("No.", {"a": 1}))],
    ),
    "an error of the connection": (
        [error(None, -32002), {"id": 1, "result": 0}],
        [ErrorAnswer(None, BY_CODE[-32002]("No."))],
    ),
    "answers to what was never asked": (
        [
            {"id": 3, "result": 0},
            {"id": "1", "result": 0},
            {"id": 1.5, "result": 0},
            {"id": None, "result": 0},
            error(3, -32001),
            partial(3),
        ],
        [],
    ),
    "a second answer": (
        [{"id": 1, "result": 0}, {"id": 1, "result": 1}, partial(1), error(1, -32001)],
        [FinalAnswer(1, 0)],
    ),
    "a notification": (
        [{"jsonrpc": "2.0", "method": "other.news", "params": {"a": 1}}, {"method": "more"}],
        [Notified("other.news", {"a": 1}), Notified("more", None)],
    ),
    "a request of the daemon's": ([{"jsonrpc": "2.0", "id": 1, "method": "please"}], []),
    "a number that Python does not read": (
        [msgspec.Raw(b'{"id":1,"result":' + b"9" * 5000 + b"}")],
        [
            ErrorAnswer(
                1, InternalError("The daemon's answer cannot be read: Integer value out of range.")
            )
        ],
    ),
}

Feed = Callable[[ClientConnection, bytes], list[Event]]


def whole(caller: ClientConnection, data: bytes) -> list[Event]:
    """Feed all bytes at once."""
    return caller.feed(data)


def bytewise(caller: ClientConnection, data: bytes) -> list[Event]:
    """Feed byte by byte."""
    return [event for i in range(len(data)) for event in caller.feed(data[i : i + 1])]


def with_a_tail(caller: ClientConnection, data: bytes) -> list[Event]:
    """Feed the bytes with the beginning of the next message behind them."""
    return [*caller.feed(data + b"12:{"), *caller.feed(b"")]


@pytest.mark.parametrize("feed", [whole, bytewise, with_a_tail])
@pytest.mark.parametrize("talk", TALKS)
def test_each_message_goes_where_it_belongs(talk: str, feed: Feed) -> None:
    """The cuts between the reads do not matter."""
    messages, events = TALKS[talk]
    data = b"".join(netstring(msgspec.json.encode(message)) for message in messages)
    assert list(map(comparable, feed(asked(), data))) == list(map(comparable, events))


#: Bytes that no daemon sends, after an answer to request 1.
RUBBISH = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n",
    "no comma": b"2:{};",
    "no JSON": b"3:{]},",
    "no object": b"2:[],",
    "an id that is none": b'14:{"id":{"a":1}},',
    "a result that belongs nowhere": netstring(b'{"method":"rkllm.result","params":{}}'),
    "a message without end": b"99999999999999:",
}


@pytest.mark.parametrize("feed", [whole, bytewise])
@pytest.mark.parametrize("rubbish", RUBBISH)
def test_what_is_no_daemon_ends_the_connection_once(rubbish: str, feed: Feed) -> None:
    """Earlier answers count, later bytes are ignored, and the error names the address."""
    caller = asked()
    answer = netstring(b'{"id":1,"result":0}')
    first, last = feed(caller, answer + RUBBISH[rubbish] + netstring(b'{"id":2,"result":0}'))
    assert comparable(first) == (FinalAnswer, FinalAnswer(1, 0))
    assert isinstance(last, ErrorAnswer)
    assert last.id is None
    assert isinstance(last.error, NotADaemon)
    assert WHERE in str(last.error)
    assert caller.feed(answer) == []


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_are_taken_without_an_exception(data: bytes, cut: int) -> None:
    """One piece or several give the same events."""
    events, pieces = asked().feed(data), asked()
    assert list(map(comparable, events)) == list(
        map(comparable, pieces.feed(data[:cut]) + pieces.feed(data[cut:]))
    )


@pytest.mark.parametrize("code", BY_CODE)
def test_each_code_has_its_class(code: int) -> None:
    """The exception has the daemon's message and data."""
    (event,) = asked().feed(netstring(msgspec.json.encode(error(1, code, data={"a": 1}))))
    assert isinstance(event, ErrorAnswer)
    assert type(event.error) is BY_CODE[code]
    assert (event.error.message, event.error.data) == ("No.", {"a": 1})


@pytest.mark.parametrize("data", [{}, {"data": "text"}, {"data": [1]}])
def test_an_unknown_code_is_an_rpc_error_all_the_same(data: dict[str, object]) -> None:
    """Third-party methods may have their own codes."""
    (event,) = asked().feed(netstring(msgspec.json.encode(error(1, -31999, **data))))
    assert isinstance(event, ErrorAnswer)
    assert isinstance(event.error, RemoteError)
    assert (event.error.code, str(event.error)) == (-31999, "No.")


@pytest.mark.parametrize("body", [None, {}, {"code": "1"}, {"message": "x"}, "text"])
def test_an_error_without_a_code_is_one_too(body: object) -> None:
    """A malformed error still ends its request."""
    (event,) = asked().feed(netstring(msgspec.json.encode({"id": 1, "error": body})))
    assert isinstance(event, ErrorAnswer)
    assert isinstance(event.error, RPCError)


def test_it_greets_with_the_form_of_streams_that_it_reads() -> None:
    """With that greeting, each request gets one answer."""
    number, data = ClientConnection(WHERE).greet()
    assert sent(data) == {
        "jsonrpc": "2.0",
        "id": number,
        "method": "server.configure",
        "params": {"stream": "notifications"},
    }


def test_requests_have_ids_of_their_own() -> None:
    """A call without parameters sends no params."""
    caller = ClientConnection(WHERE)
    one, data = caller.ask("a")
    other, more = caller.ask("b", [1])
    assert one != other
    assert sent(data) == {"jsonrpc": "2.0", "id": one, "method": "a"}
    assert sent(more) == {"jsonrpc": "2.0", "id": other, "method": "b", "params": [1]}


def test_arrays_of_floats_are_sent_as_their_bytes() -> None:
    """Arrays are found anywhere in the parameters."""
    _, data = ClientConnection(WHERE).ask("m", {"a": {"b": FloatArray(bytes(8), (2, 1))}})
    assert sent(data)["params"]["a"]["b"] == {
        "base64": "AAAAAAAAAAA=",
        "dtype": "<f4",
        "shape": [2, 1],
    }


def test_a_cancelled_request_is_heard_of_no_more() -> None:
    """The client drops late results and the answer; the other request goes on."""
    caller = asked()
    cancel = caller.cancel(1)
    assert sent(cancel) == {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}}
    messages = [partial(1), error(1, -32800), {"id": 2, "result": 0}]
    data = b"".join(netstring(msgspec.json.encode(message)) for message in messages)
    assert list(map(comparable, caller.feed(data))) == [(FinalAnswer, FinalAnswer(2, 0))]


def test_what_is_answered_is_not_cancelled() -> None:
    """The daemon would not know the id."""
    caller = asked()
    caller.feed(netstring(b'{"id":1,"result":0}'))
    assert caller.cancel(1) == b""
    assert caller.cancel(7) == b""
    assert caller.cancel(2) != b""
    assert caller.cancel(2) == b""
