"""JSON-RPC: values, floats, the client's side; test_wire_table.py has the bytes."""

from __future__ import annotations

import math
import struct
import tracemalloc
from array import array

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.errors import (
    BY_CODE,
    InternalError,
    InvalidParams,
    InvalidRequest,
    ParseError,
    RemoteError,
    RPCError,
)
from rkllm_twisted.values import FloatArray, Peer
from rkllm_twisted.wire import jsonrpc, validation
from rkllm_twisted.wire.encoding import encode
from rkllm_twisted.wire.float32 import shortest
from rkllm_twisted.wire.jsonrpc import Batch, Malformed, Notification, Reply, Request, parse


def floats(*values: float, shape: tuple[int, ...] | None = None) -> FloatArray:
    return FloatArray(struct.pack(f"<{len(values)}f", *values), shape or (len(values),))


def test_a_request_is_read() -> None:
    """Its id stays bytes; its parameters are Python values."""
    request = parse(b'{"jsonrpc":"2.0","id": 1.0 ,"method":"a","params":{"b":[1,null]}}')
    assert request == Request(b"1.0", "a", {"b": [1, None]})


def test_a_notification_is_read() -> None:
    """A notification has no id."""
    assert parse(b'{"jsonrpc":"2.0","method":"a"}') == Notification("a", None)


def test_a_batch_is_read_member_by_member() -> None:
    """One bad member does not spoil the others."""
    batch = parse(b'[{"jsonrpc":"2.0","method":"a"},7]')
    assert isinstance(batch, Batch)
    assert batch.members[0] == Notification("a", None)
    assert isinstance(batch.members[1], Malformed)


@pytest.mark.parametrize(
    ("given_id", "raw"), [(1, b"1"), ("a", b'"a"'), (None, b"null"), ("ü", '"ü"'.encode())]
)
def test_what_a_client_writes_is_read_back(given_id: object, raw: bytes) -> None:
    """The messages are requests and notifications, with and without parameters."""
    assert parse(jsonrpc.request(given_id, "m", [1])) == Request(raw, "m", [1])
    assert parse(jsonrpc.request(given_id, "m")) == Request(raw, "m", None)
    assert parse(jsonrpc.notification("m", {"a": 1})) == Notification("m", {"a": 1})
    assert jsonrpc.id_of(raw) == given_id


def test_an_answer_gives_its_result() -> None:
    """The client's side decodes the answer."""
    reply = parse(jsonrpc.response(b"7", encode({"a": [1.5]})))
    assert isinstance(reply, Reply)
    assert reply.id == b"7"
    assert reply.outcome() == {"a": [1.5]}


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_an_error_comes_back_as_its_own_class(kind: type[RPCError]) -> None:
    """The error keeps its message and its data."""
    reply = parse(jsonrpc.error(b"7", kind("Do this.", {"parameter": "x"})))
    assert isinstance(reply, Reply)
    with pytest.raises(kind, match=r"Do this\.") as raised:
        reply.outcome()
    assert raised.value.data == {"parameter": "x"}
    assert type(raised.value) is kind


def test_an_unknown_code_comes_back_as_a_number() -> None:
    """A newer daemon may have more codes."""
    reply = parse(b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m","data":5}}')
    assert isinstance(reply, Reply)
    with pytest.raises(RemoteError) as raised:
        reply.outcome()
    assert raised.value.code == -1


@pytest.mark.parametrize("body", [b"5", b"null", b"{}", b'{"code":"x","message":1}', b'"no"'])
def test_an_error_that_is_none_is_still_an_error(body: bytes) -> None:
    """A client never takes it for a result."""
    reply = parse(b'{"jsonrpc":"2.0","id":1,"error":%b}' % body)
    assert isinstance(reply, Reply)
    with pytest.raises(InternalError):
        reply.outcome()


def test_float32s_leave_as_their_shortest_decimals() -> None:
    """For example, 0.9 leaves as 0.9."""
    assert encode(floats(0.9, 1, -0.1, 1e-7, 3.4028235e38)) == b"[0.9,1.0,-0.1,1e-7,3.4028235e38]"


def test_what_is_no_number_leaves_as_null() -> None:
    """JSON has neither NaN nor infinities, in arrays or alone."""
    assert encode(floats(math.nan, math.inf, -math.inf)) == b"[null,null,null]"
    assert encode([math.nan, math.inf]) == b"[null,null]"


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_every_float32_reads_back(values: list[float]) -> None:
    """The value is exact and has no more digits than numpy's, but for a few powers of two."""
    given_values = array("f", values)
    found = shortest(given_values)
    assert array("f", found) == given_values
    for value, short in zip(given_values, found, strict=True):
        numpys = float(str(np.float32(value)))
        assert short == numpys or math.frexp(value)[0] in (0.5, -0.5)


def test_arrays_have_their_shape() -> None:
    """Arrays are written row by row, also with no rows or empty ones."""
    assert encode(floats(1, 2, 3, 4, 5, 6, shape=(3, 2))) == b"[[1.0,2.0],[3.0,4.0],[5.0,6.0]]"
    assert encode(floats(1, 2, shape=(1, 1, 2))) == b"[[[1.0,2.0]]]"
    assert encode(FloatArray(b"", (0, 5))) == b"[]"
    assert encode(FloatArray(b"", (2, 0))) == b"[[],[]]"


@pytest.mark.parametrize("shape", [(3,), (2, 2), (0,), (5,)])
def test_a_shape_that_does_not_fit_is_a_fault(shape: tuple[int, ...]) -> None:
    """The encoder does not write half an array."""
    with pytest.raises(ValueError, match="shape"):
        encode(floats(1, 2, shape=shape))


def test_floats_as_base64() -> None:
    """The bytes are encoded unchanged, with their dtype and shape."""
    array_form = {"logits": floats(1, 2, shape=(1, 2))}
    decoded = msgspec.json.decode(encode(array_form, "base64"))
    assert decoded == {"logits": {"base64": "AACAPwAAAEA=", "dtype": "<f4", "shape": [1, 2]}}


def test_attrs_and_tuples_are_written() -> None:
    """The package's methods return such values."""
    assert encode((Peer(1, 2),)) == b'[{"number":1,"pid":2,"uid":null,"gid":null,"groups":[]}]'


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", "\ud800", {(1, 2): 3}])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    """The encoder raises an error and guesses no form."""
    with pytest.raises((TypeError, ValueError)):
        encode(value)


def test_no_newline_is_ever_written() -> None:
    """Each message is therefore one line."""
    assert b"\n" not in jsonrpc.request(1, "a\nb", {"c\n": "\n\r\u2028"})


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"[%b]" % b",".join([b"0"] * 3_000_000), InvalidRequest),
        (b'{"a":[%b]}' % b",".join([b"[]"] * 1_000_000), ParseError),
        (b'{"a":[%b]}' % b",".join([b'"b"'] * 1_000_000), ParseError),
        (b'{"a":"%b"}' % (rb"\n" * 2_000_000), InvalidRequest),
        (b'{"a":"%b"' % (rb"\n" * 2_000_000), ParseError),
        (b"[" * 4_000_000, ParseError),
        (b'{"a":"%b\xff"}' % ("😀".encode() * 500_000), ParseError),
    ],
    ids=["batch", "containers", "strings", "escapes", "open escapes", "open", "emoji"],
)
def test_evil_messages_cost_little_memory(payload: bytes, kind: type[RPCError]) -> None:
    """They are refused before they are built."""
    tracemalloc.start()
    try:
        message = parse(payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(message, Malformed)
    assert type(message.error) is kind
    assert peak < 3 * len(payload) + 5_000_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(
        st.characters(exclude_categories=("Cs",)), max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_parameters_survive_the_way(params: list[object]) -> None:
    """The parameters are any JSON, and no check rejects them."""
    assert parse(jsonrpc.request(1, "m", params)) == Request(b"1", "m", params)


@given(st.text('"\\{}[]:,ua0', max_size=40))
def test_checks_on_any_string_misfire_never(text: str) -> None:
    """Brackets, quotes and colons in strings do not count as structure."""
    params = [text, {text: text}]
    assert parse(jsonrpc.request(1, "m", params)) == Request(b"1", "m", params)


@given(st.text('"\\:a', max_size=6))
def test_a_repeated_name_is_found_however_it_is_written(name: str) -> None:
    """One of the two names may be escaped."""
    plain = msgspec.json.encode(name)
    escaped = b'"%b"' % b"".join(b"\\u%04x" % ord(char) for char in name)
    assert validation.repeated_member(b"{%b :1,%b\n:2}" % (plain, escaped)) == name
    assert validation.repeated_member(b"[{%b:%b},{%b:1}]" % (plain, plain, plain)) is None


@pytest.mark.parametrize("text", ["", "a", "é", "你" * 700_000, "x😀"])
def test_utf8_is_told_from_what_is_none(text: str) -> None:
    """The text is whole, cut off, or in pieces."""
    data = text.encode()
    assert validation.is_utf8(data)
    assert not validation.is_utf8(data + b"\xe4\xbd")
    assert not validation.is_utf8(b"\xff" + data)


def test_depth_is_counted_with_both_brackets() -> None:
    """Objects and arrays alternate."""
    deepest = b'{"a":[' * 32 + b"]}" * 32
    assert validation.too_large(deepest) is None
    assert validation.too_large(b"[" + deepest + b"]") is not None


def test_half_surrogates_are_told_with_the_id() -> None:
    """The client learns which of its requests it was."""
    message = parse(rb'{"jsonrpc":"2.0","id":"x","method":"m","params":["\uDC00"]}')
    assert isinstance(message, Malformed)
    assert isinstance(message.error, InvalidParams)
    assert message.id == b'"x"'
