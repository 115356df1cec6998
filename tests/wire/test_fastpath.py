"""The short way to read a message gives the thorough way's result, or leaves it to that way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_corpus import ACCEPT, OPEN_ACCEPT, OPEN_REFUSE, REFUSE

from rkllm_twisted.wire import fastpath, validation
from rkllm_twisted.wire.jsonrpc import Batch, Notification, Request, parse_strictly

PING = b'{"jsonrpc":"2.0","id":7,"method":"server.ping"}'
PLAIN = {
    "a request": (PING, Request(b"7", "server.ping", None)),
    "a notification": (b'{"method":"m","jsonrpc":"2.0"}', Notification("m", None)),
    "white space": (b'\t{ "jsonrpc" : "2.0", "id" : "a" ,"method":"m"}\n', None),
    "no params": (PING[:-1] + b',"params":null}', None),
    "params by position": (PING[:-1] + b',"params":[1,"a"]}', None),
    "params by name": (PING[:-1] + b',"params":{"a":{"b":1},"c":"d"}}', None),
    "Chinese": ('{"jsonrpc":"2.0","id":"你","method":"好"}'.encode(), None),
    "a batch": (b"[" + b",".join([PING] * validation.MAX_BATCH) + b"]", None),
    "a batch of notifications": (b'[{"jsonrpc":"2.0","method":"m"}]', None),
}
NOT_PLAIN = {
    "a member twice": PING[:-1] + b',"id":8}',
    "a member twice, once escaped": PING[:-1] + rb',"\u0069d":8}',
    "another member": PING[:-1] + b',"more":1}',
    "a parameter twice": PING[:-1] + b',"params":{"a":1,"a":2}}',
    "params that are a number": PING[:-1] + b',"params":1}',
    "an id that is an array": b'{"jsonrpc":"2.0","id":[],"method":"m"}',
    "an id that is true": b'{"jsonrpc":"2.0","id":true,"method":"m"}',
    "a long id": b'{"jsonrpc":"2.0","id":"%b","method":"m"}' % (b"x" * validation.MAX_ID_BYTES),
    "another version": b'{"jsonrpc":"1.0","id":7,"method":"m"}',
    "no version": b'{"id":7,"method":"m"}',
    "no method": b'{"jsonrpc":"2.0","id":7}',
    "an answer": b'{"jsonrpc":"2.0","id":7,"result":1}',
    "a long message": b'{"jsonrpc":"2.0","id":7,"method":"%b"}' % (b"m" * fastpath.MAX_PLAIN_BYTES),
    "deep params": PING[:-1] + b',"params":%b1%b}' % (b"[" * 64, b"]" * 64),
    "an empty batch": b"[]",
    "a batch with params": b"[" + PING[:-1] + b',"params":[1]}]',
    "a batch too large": b"[" + b",".join([PING] * (validation.MAX_BATCH + 1)) + b"]",
    "a batch with a bad member": b"[" + PING + b",1]",
    "a batch with a member twice": b"[" + PING[:-1] + b',"id":8}]',
    "something behind": PING + b"{}",
    "half a message": PING[:-1],
    "nothing": b"",
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_plain_is_read_as_the_thorough_way_does(name: str) -> None:
    """The short way reads it alone."""
    text, message = PLAIN[name]
    assert fastpath.read(text) == parse_strictly(text)
    assert message in (None, fastpath.read(text))


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_the_thorough_way(name: str) -> None:
    """Valid or not: the short way has no error messages."""
    assert fastpath.read(NOT_PLAIN[name]) is None


TEXTS = [text for text, _ in {**ACCEPT, **OPEN_ACCEPT, **OPEN_REFUSE}.values()]


@pytest.mark.parametrize("text", [*TEXTS, *REFUSE.values()])
def test_no_text_is_read_otherwise(text: bytes) -> None:
    """The text is a parameter, an id, the whole message, and a member of a batch."""
    request = b'{"jsonrpc":"2.0","id":7,"method":"echo","params":[%b]}'
    for around in (request, b'{"jsonrpc":"2.0","id":%b,"method":"echo"}', b"%b", b"[%b]"):
        whole = around % text
        try:
            whole.decode()
        except UnicodeDecodeError:
            continue  # neither way is asked
        message = fastpath.read(whole)
        assert message is None or repr(message) == repr(parse_strictly(whole))


PIECES = [
    *(
        b'"jsonrpc":"2.0"',
        b'"id":1',
        b'"id":null',
        b'"method":"m"',
        b'"params":[1]',
        b'"params":{}',
    ),
    *(b'"params":{"a":1,"b":[]}', b'"params":{"a":1,"a":2}', b'"x":1', b'"result":1', b'"a:b":":"'),
    *(b"{", b"}", b"[", b"]", b",", b":", b" ", b'"', b"\\"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=6).map(b",".join), st.booleans())
def test_no_members_are_read_otherwise(members: bytes, in_batch: bool) -> None:
    """The message has any members, in any order, possibly repeated."""
    text = b"[{%b}]" % members if in_batch else b"{%b}" % members
    message = fastpath.read(text)
    assert message is None or message == parse_strictly(text)
    assert not isinstance(message, Batch) or in_batch
