"""Bytes in and bytes out: the specification's examples, and the edge cases of docs/wire.md.

Each case goes through a real connection in both framings: whole, byte by byte, and glued between
two other messages.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_client import MemoryClient

from rkllm_twisted.wire.framing import netstring
from rkllm_twisted.wire.lines import line

#: The bytes of a reply, or of each member of a batch's reply.
Reply = bytes | tuple[bytes, ...]


def result(raw_id: bytes, value: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (raw_id, value)


def error(raw_id: bytes, code: int) -> bytes:
    """Return the beginning of an error; the sentence after it may change."""
    return b'{"jsonrpc":"2.0","id":%b,"error":{"code":%d,' % (raw_id, code)


def call(raw_id: bytes, raw_params: bytes = b"[]") -> bytes:
    return b'{"jsonrpc":"2.0","method":"echo","params":%b,"id":%b}' % (raw_params, raw_id)


#: Section 7 of the specification: requests and replies.
SPECIFICATION: list[tuple[bytes, list[Reply]]] = [
    (
        b'{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        [result(b"1", b"19")],
    ),
    (
        b'{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        [result(b"2", b"-19")],
    ),
    (
        b'{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42},'
        b' "id": 3}',
        [result(b"3", b"19")],
    ),
    (
        b'{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23},'
        b' "id": 4}',
        [result(b"4", b"19")],
    ),
    (b'{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', []),
    (b'{"jsonrpc": "2.0", "method": "foobar"}', []),
    (b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', [error(b'"1"', -32601)]),
    (
        b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        [error(b"null", -32700)],
    ),
    (
        b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
        [error(b"null", -32600)],
    ),
    (
        b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
        b' {"jsonrpc": "2.0", "method"]',
        [error(b"null", -32700)],
    ),
    (b"[]", [error(b"null", -32600)]),
    (b"[1]", [(error(b"null", -32600),)]),
    (b"[1,2,3]", [(error(b"null", -32600),) * 3]),
    (
        b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
        b' {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
        b' {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},'
        b' {"foo": "boo"},'
        b' {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
        b' {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]',
        [
            (
                result(b'"1"', b"7"),
                result(b'"2"', b"19"),
                error(b"null", -32600),
                error(b'"5"', -32601),
                result(b'"9"', b'["hello",5]'),
            )
        ],
    ),
    (
        b'[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
        b' {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]',
        [],
    ),
]

IDS_ECHOED = [
    b'"a"', b'""', b"0", b"-1", b"-0", b"7", b"null", b"1.5", b"1.0", b"1e2", b"1E+2",
    b"9007199254740993", b"18446744073709551616", b"9" * 256, b"1e400",
    '"größe 你好"'.encode(), rb'"\u00e9\n\"\\"', b'"' + b"x" * 254 + b'"',
]  # fmt: skip
IDS_REFUSED = [b"true", b"false", b"[]", b"{}", b"[1]", b"9" * 257, b'"' + b"x" * 255 + b'"']

CASES: dict[str, tuple[bytes, list[Reply]]] = {
    **{f"specification {i + 1}": case for i, case in enumerate(SPECIFICATION)},
    **{f"id {i[:20]!r}": (call(i), [result(i, b"[]")]) for i in IDS_ECHOED},
    **{f"id refused {i[:20]!r}": (call(i), [error(b"null", -32600)]) for i in IDS_REFUSED},
    "params omitted": (
        b'{"jsonrpc":"2.0","method":"echo","id":1}',
        [result(b"1", b"null")],
    ),
    "params null": (call(b"1", b"null"), [result(b"1", b"null")]),
    "params {}": (call(b"1", b"{}"), [result(b"1", b"{}")]),
    **{
        f"params {p!r}": (call(b"1", p), [error(b"1", -32600)])
        for p in (b'"x"', b"1", b"true", b"0.5")
    },
    "wrong params": (
        b'{"jsonrpc":"2.0","method":"subtract","params":["a",1],"id":1}',
        [error(b"1", -32602)],
    ),
    **{
        f"version {v!r}": (b'{"jsonrpc":%b,"method":"echo","id":5}' % v, [error(b"5", -32600)])
        for v in (b'"1.0"', b"2.0", b"false", b"null", b'"2.0 "', b"[]")
    },
    "version missing": (b'{"method":"echo","id":5}', [error(b"5", -32600)]),
    "version escaped": (rb'{"jsonrpc":"\u0032.0","method":"echo","id":5}', [result(b"5", b"null")]),
    **{
        f"method {m!r}": (b'{"jsonrpc":"2.0","method":%b,"id":5}' % m, [error(b"5", -32600)])
        for m in (b"1", b"null", b"[]", b"{}", b"true")
    },
    "method missing": (b'{"jsonrpc":"2.0","id":5}', [error(b"5", -32600)]),
    "method empty": (b'{"jsonrpc":"2.0","method":"","id":5}', [error(b"5", -32601)]),
    "method reserved": (b'{"jsonrpc":"2.0","method":"rpc.x","id":5}', [error(b"5", -32601)]),
    "extra members": (
        b'{"jsonrpc":"2.0","method":"echo","id":5,"more":[1,{"a":null}]}',
        [result(b"5", b"null")],
    ),
    "white space": (
        b' \t{ "jsonrpc" : "2.0" ,\t"method" : "echo" , "id" : 5 } \r',
        [result(b"5", b"null")],
    ),
    "a number and more": (b"5 x", [error(b"null", -32700)]),
    "half a string": (b'"abc', [error(b"null", -32700)]),
    "a netstring in a line": (b"5:hello,", [error(b"null", -32700)]),
    **{
        f"no object {v!r}": (v, [error(b"null", -32600)])
        for v in (b"5", b'"abc"', b"null", b"true", b"1.5")
    },
    "a response": (b'{"jsonrpc":"2.0","id":1,"result":5}', []),
    "an error response": (b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}', []),
    "a broken response": (b'{"result":5}', []),
    "responses in a batch": (b'[{"result":5},{"error":5}]', []),
    "notification with unknown method": (b'{"jsonrpc":"2.0","method":"no"}', []),
    "notification with wrong params": (b'{"jsonrpc":"2.0","method":"subtract"}', []),
    "id twice": (b'{"jsonrpc":"2.0","method":"echo","id":1,"id":2}', [error(b"null", -32600)]),
    "method twice": (
        b'{"jsonrpc":"2.0","method":"echo","method":"update","id":1}',
        [error(b"1", -32600)],
    ),
    "method twice, once escaped": (
        rb'{"jsonrpc":"2.0","method":"echo","m\u0065thod":"update","id":1}',
        [error(b"1", -32600)],
    ),
    "a parameter twice": (call(b"1", b'[{"a":1,"a":1}]'), [error(b"1", -32600)]),
    "a name in two objects": (
        call(b"1", b'[{"a":1},{"a":1,"b":{"a":1}}]'),
        [result(b"1", b'[{"a":1},{"a":1,"b":{"a":1}}]')],
    ),
    "a name as value": (call(b"1", b'{"a":"a","b":"a"}'), [result(b"1", b'{"a":"a","b":"a"}')]),
    **{
        f"number {n!r}": (call(b"1", b"[%b]" % n), [error(b"null", -32700)])
        for n in b"NaN Infinity -Infinity 1e400 -1e400 01 1. .5 +1".split()
    },
    "4,301 digits": (call(b"1", b"[%b]" % (b"9" * 4301)), [error(b"null", -32700)]),
    "a big number": (call(b"1", b"[%b]" % (b"9" * 500)), [result(b"1", b"[%b]" % (b"9" * 500))]),
    "half a surrogate pair": (call(b"1", rb'["\ud800"]'), [error(b"1", -32602)]),
    "the other half": (call(b"1", rb'["x\\\udc00y"]'), [error(b"1", -32602)]),
    "a surrogate pair": (call(b"1", rb'["\ud83d\ude00"]'), [result(b"1", '["😀"]'.encode())]),
    "an escaped backslash before u": (
        call(b"1", rb'["\\ud800"]'),
        [result(b"1", rb'["\\ud800"]')],
    ),
    "half a pair in an id": (call(rb'"\ud800"'), [error(b"null", -32700)]),
    "half a pair in a notification": (
        rb'{"jsonrpc":"2.0","method":"echo","params":["\ud800"]}',
        [error(b"null", -32700)],
    ),
    "half a character": (call(b"1", b'["\xe4\xbd"]'), [error(b"null", -32700)]),
    "a surrogate in UTF-8": (call(b"1", b'["\xed\xa0\x80"]'), [error(b"null", -32700)]),
    "overlong UTF-8": (call(b"1", b'["\xc0\xaf"]'), [error(b"null", -32700)]),
    "a byte order mark": (b"\xef\xbb\xbf" + call(b"1"), [error(b"null", -32700)]),
    "UTF-16": (call(b"1").decode().encode("utf-16"), [error(b"null", -32700)]),
    "a raw control character": (call(b"1", b'["\x01"]'), [error(b"null", -32700)]),
    "depth 63 in params": (
        call(b"1", b"[" * 63 + b"]" * 63),
        [result(b"1", b"[" * 63 + b"]" * 63)],
    ),
    "depth 64 in params": (call(b"1", b"[" * 64 + b"]" * 64), [error(b"null", -32700)]),
    "brackets in strings": (
        call(b"1", rb'["%b","\"%b"]' % (b"[" * 100, b"{" * 100)),
        [result(b"1", rb'["%b","\"%b"]' % (b"[" * 100, b"{" * 100))],
    ),
    "cancelling nothing": (
        b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":7},"id":1}',
        [result(b"1", b'{"cancelled":false}')],
    ),
    "an unknown $/ request": (b'{"jsonrpc":"2.0","method":"$/x","id":1}', [error(b"1", -32601)]),
    "an unknown $/ notification": (b'{"jsonrpc":"2.0","method":"$/x"}', []),
    "a batch in a batch": (b"[[1],[]]", [(error(b"null", -32600),) * 2]),
    "a batch of 100": (
        b"[%b]" % b",".join(call(b"%d" % i) for i in range(100)),
        [tuple(result(b"%d" % i, b"[]") for i in range(100))],
    ),
    "a batch of 101": (b"[%b]" % b",".join([call(b"1")] * 101), [error(b"null", -32600)]),
    "one member twice in a batch": (
        b"[%b,%b]" % (call(b"1", b'{"a":1,"a":2}'), call(b"2")),
        [(error(b"1", -32600), result(b"2", b"[]"))],
    ),
    "a number out of range in a batch": (
        b"[%b,%b]" % (call(b"1", b"[1e400]"), call(b"2")),
        [(error(b"null", -32700), result(b"2", b"[]"))],
    ),
}  # fmt: skip
#: Messages that do not fit a line: with lines, a message ends where its brackets close.
ONLY_NETSTRINGS: dict[str, tuple[bytes, list[Reply]]] = {
    "nothing": (b"", [error(b"null", -32700)]),
    "white space only": (b" \n", [error(b"null", -32700)]),
    "text after the object": (call(b"1") + b" x", [error(b"null", -32700)]),
    "two objects": (call(b"1") + call(b"2"), [error(b"null", -32700)]),
    "several lines": (b'{"jsonrpc":"2.0",\n"method":"echo",\r\n"id":1}\n', [result(b"1", b"null")]),
    "100,000 levels": (b"[" * 100_000, [error(b"null", -32700)]),
    "100,000 closed levels": (b"[" * 100_000 + b"]" * 100_000, [error(b"null", -32700)]),
    "100,001 containers": (
        call(b"1", b"[%b]" % b",".join([b"[]"] * 100_001)),
        [error(b"null", -32700)],
    ),
}

BEFORE, AFTER = call(b'"before"'), call(b'"after"')
WAYS = {
    "whole": lambda framed: [framed],
    "byte by byte": lambda framed: [framed[i : i + 1] for i in range(len(framed))],
}


def members(reply: bytes) -> list[bytes]:
    if not reply.startswith(b"["):
        return [reply]
    return [bytes(raw) for raw in msgspec.json.decode(reply, type=list[msgspec.Raw])]


def fits(reply: bytes, expected: Reply) -> bool:
    if isinstance(expected, bytes):
        return reply == expected or (expected.endswith(b",") and reply.startswith(expected))
    found = members(reply) if reply.startswith(b"[") else []
    return len(found) == len(expected) and all(map(fits, found, expected))


def check(chunks: list[bytes], expected: list[Reply]) -> None:
    talk = MemoryClient()
    talk.send(*chunks)
    replies = talk.replies()
    assert len(replies) == len(expected), replies
    for reply, wanted in zip(replies, expected, strict=True):
        assert fits(reply, wanted), (reply, wanted)
    assert not talk.closing


def around(expected: list[Reply]) -> list[Reply]:
    return [result(b'"before"', b"[]"), *expected, result(b'"after"', b"[]")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*CASES, *ONLY_NETSTRINGS])
def test_in_netstrings(name: str, way: str) -> None:
    """Each case is sent alone, and between two others in the same read."""
    payload, expected = {**CASES, **ONLY_NETSTRINGS}[name]
    if way == "byte by byte" and len(payload) > 20_000:
        pytest.skip("said by the framing's own tests")
    check(WAYS[way](netstring(payload)), expected)
    glued = netstring(BEFORE) + netstring(payload) + netstring(AFTER)
    check(WAYS[way](glued), around(expected))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_in_lines(name: str, way: str) -> None:
    """A blank line comes first, because the case may begin with any byte."""
    payload, expected = CASES[name]
    check(WAYS[way](b"\n" + line(payload)), expected)
    check(WAYS[way](line(BEFORE) + line(payload) + line(AFTER)), around(expected))
    check(WAYS[way](line(BEFORE) + payload + b"\r\n\r\n" + AFTER), around(expected))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_cut_gives_the_same_replies(data: st.DataObject) -> None:
    """The answers do not depend on the boundaries of the reads."""
    names = data.draw(st.lists(st.sampled_from(sorted(CASES)), min_size=1, max_size=6))
    frame = data.draw(st.sampled_from([netstring, line]))
    stream = b"".join(frame(CASES[name][0]) for name in names)
    if frame is line:
        stream = b"\n" + stream
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, cut = MemoryClient(), MemoryClient()
    whole.send(stream)
    cut.send(*filter(None, chunks))
    assert cut.replies() == whole.replies()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    """The daemon answers with JSON or closes the connection, and logs no error."""
    talk = MemoryClient()
    talk.send(*filter(None, chunks))
    for answer in talk.answers():
        assert answer["jsonrpc"] == "2.0"
