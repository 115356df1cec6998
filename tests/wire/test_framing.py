"""Framing: the same messages whole, byte by byte and with a tail; limits; linear time; memory."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.errors import InvalidRequest, ParseError
from rkllm_twisted.wire.framing import (
    FramingError,
    HTTPRequest,
    Kind,
    Netstrings,
    TooLong,
    cut_netstrings,
    netstring,
    sniff,
)
from rkllm_twisted.wire.lines import MAX_UNTERMINATED_BYTES, Lines, line

Receiver = Netstrings | Lines


def in_bytes(receiver: Receiver, data: bytes) -> list[bytes]:
    return [message for i in range(len(data)) for message in receiver.feed(data[i : i + 1])]


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        *[(b"%d" % digit, Kind.NETSTRINGS) for digit in range(10)],
        *[(first, Kind.LINES) for first in (b"{", b"[", b" ", b"\t", b"\r", b"\n")],
    ],
)
def test_the_first_byte_tells_the_framing(first: bytes, kind: Kind) -> None:
    """The bytes after it do not matter."""
    assert sniff(first) is kind
    assert sniff(first + b"\xff") is kind


@pytest.mark.parametrize("first", [b"G", b"\xef", b"\0", b'"', b"-", b"n", b":", b"", b"\xd9\xa1"])
def test_another_first_byte_is_refused(first: bytes) -> None:
    """The error says what to send."""
    with pytest.raises(FramingError, match="netstrings, or JSON"):
        sniff(first)


NETSTRINGS = {
    b"0:,": [b""],
    b"3:abc,": [b"abc"],
    b"3:abc,0:,5:hello,": [b"abc", b"", b"hello"],
    b"10:0123456789,": [b"0123456789"],
    b"3:\n,:,": [b"\n,:"],
}


@pytest.mark.parametrize("data", NETSTRINGS)
def test_netstrings_are_taken_apart(data: bytes) -> None:
    """Whole, byte by byte, and with the beginning of another."""
    assert Netstrings().feed(data) == NETSTRINGS[data]
    assert in_bytes(Netstrings(), data) == NETSTRINGS[data]
    receiver = Netstrings()
    assert receiver.feed(data + b"2:o") == NETSTRINGS[data]
    assert receiver.feed(b"k,") == [b"ok"]


BROKEN = [
    b"00:,", b"03:abc,", b"3:abc;", b"0:;", b":abc,", b"-1:", b"+3:", b" 3:", b"3 :", b"3;",
    b"1_0:", "٣:abc,".encode(), b"\n3:abc,", b"x", b"3:abcd,", b"12\n:",
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN)
def test_broken_netstrings_are_refused(data: bytes) -> None:
    """The messages before the damage are kept."""
    with pytest.raises(FramingError) as raised:
        Netstrings().feed(b"2:ok," + data)
    assert raised.value.messages == (b"ok",)
    assert raised.value.code == ParseError.code
    with pytest.raises(FramingError):
        in_bytes(Netstrings(), data)


@pytest.mark.parametrize("limit", [1, 9, 10, 99, 100, 1000, 99_999, 100_000])
def test_a_netstring_may_have_the_limit_and_no_byte_more(limit: int) -> None:
    """The header alone decides, before any byte is stored."""
    payload = b"x" * limit
    assert Netstrings(limit).feed(netstring(payload)) == [payload]
    with pytest.raises(TooLong, match=str(limit)) as raised:
        Netstrings(limit).feed(b"%d:" % (limit + 1))
    assert raised.value.code == InvalidRequest.code


@pytest.mark.parametrize("data", [b"9" * 5000, b"1000000000:", b"67108865:"])
def test_a_length_beyond_all_measure_is_refused(data: bytes) -> None:
    """The digits are refused before they are converted, also byte by byte."""
    with pytest.raises(TooLong):
        Netstrings().feed(data)
    with pytest.raises(TooLong):
        in_bytes(Netstrings(), data)


OBJECT = b'{"a":"}\\"]","b":[1,{}]}'
LINES = {
    b"{}\n": [b"{}"],
    b"{}\r\n[]\n": [b"{}", b"[]"],
    b"\n\r\n \n{}\n\n": [b"{}"],
    b"  {} \t\r\n": [b"{}"],
    b"nonsense {}\n{}\n": [b"nonsense {}", b"{}"],
    b"5\n": [b"5"],
    OBJECT: [OBJECT],
    OBJECT + OBJECT + b"\n" + OBJECT: [OBJECT] * 3,
    b"{}[] {}\n[1]": [b"{}", b"[]", b"{}", b"[1]"],
    b'{"open\n{}\n': [b'{"open', b"{}"],
    b'["\\\\"]["\\"]"]': [b'["\\\\"]', b'["\\"]"]'],
    b"}{}\n": [b"}{}"],
    b"[}\n": [b"[}"],
}


@pytest.mark.parametrize("data", LINES)
def test_lines_are_taken_apart(data: bytes) -> None:
    """Whole, byte by byte, and with the beginning of another."""
    assert Lines().feed(data) == LINES[data]
    assert in_bytes(Lines(), data) == LINES[data]
    receiver = Lines()
    assert receiver.feed(data + b'{"ta') == LINES[data]
    assert receiver.feed(b'il":1}') == [b'{"tail":1}']


def test_a_message_without_newline_is_one_when_it_is_complete() -> None:
    """An incomplete message stays in the buffer."""
    receiver = Lines()
    assert receiver.feed(b'{"method":') == []
    assert receiver.feed(b'"a"}') == [b'{"method":"a"}']


def test_a_long_message_waits_for_its_newline() -> None:
    """The receiver stops counting the brackets of a long message."""
    long = b'["' + b"x" * MAX_UNTERMINATED_BYTES + b'"]'
    receiver = Lines()
    assert receiver.feed(long) == []
    assert receiver.feed(b"\n") == [long]


def test_what_is_left_at_the_end_can_be_taken() -> None:
    """A half-closed client's last message may be complete or not."""
    receiver = Lines()
    assert receiver.feed(b'{"a":1') == []
    assert receiver.finish() == [b'{"a":1']
    assert receiver.finish() == []


def test_a_line_may_have_the_limit_and_no_byte_more() -> None:
    """A line without a newline yet counts, too; the messages before it are kept."""
    assert Lines(10).feed(b"[12345678]\n") == [b"[12345678]"]
    for data in (b"[123456789]\n", b"[1234567890", b"[123456789]"):
        with pytest.raises(TooLong) as raised:
            Lines(10).feed(b"{}\n" + data)
        assert raised.value.messages == (b"{}",)


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 7))
def test_netstrings_come_back_however_they_are_cut(payloads: list[bytes], step: int) -> None:
    """Framing and then parsing gives the same messages, for any split."""
    data = b"".join(map(netstring, payloads))
    receiver = Netstrings()
    found = [m for i in range(0, len(data), step) for m in receiver.feed(data[i : i + step])]
    assert found == payloads


@given(st.text(alphabet='{}[]"\\a \n', max_size=60), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(text: str, step: int) -> None:
    """The lines are any mixture of brackets, quotes and escapes."""
    data = text.encode()
    whole, cut = Lines(), Lines()
    found = [m for i in range(0, len(data), step) for m in cut.feed(data[i : i + step])]
    assert found + cut.finish() == whole.feed(data) + whole.finish()


def seconds(receiver: Receiver, chunks: list[bytes]) -> float:
    begin = time.process_time()
    for chunk in chunks:
        receiver.feed(chunk)
    return time.process_time() - begin


@pytest.mark.parametrize(
    ("make", "unit"),
    [
        (Netstrings, lambda n: [b"0:," * n]),
        (Lines, lambda n: [b"{}" * n]),
        (Lines, lambda n: [b"\n" * n]),
        (Netstrings, lambda n: [b"%d:" % n] + [b"x"] * n + [b","]),
        (Lines, lambda n: [b"["] + [b"]["] * n),
        (Lines, lambda n: [b'{"'] + [b"}"] * n),
        (Lines, lambda n: [b"\\"] * n),
    ],
    ids=[
        "netstrings glued",
        "values glued",
        "blank",
        "bytes",
        "brackets",
        "in a string",
        "escapes",
    ],
)
def test_time_is_linear(make: type[Receiver], unit: object) -> None:
    """8 times as much takes about 8 times as long; quadratic would be 64."""
    assert callable(unit)
    small = min(seconds(make(), unit(5_000)) for _ in range(3))
    big = min(seconds(make(), unit(40_000)) for _ in range(3))
    assert big < 24 * max(small, 0.001)


@pytest.mark.parametrize("make", [Netstrings, Lines])
def test_a_big_messages_buffer_is_given_back(make: type[Receiver]) -> None:
    """An idle connection keeps almost no memory."""
    receiver = make()
    frame = netstring if make is Netstrings else line
    big = b"[" + b" " * 1_000_000 + b"]"
    assert receiver.feed(frame(big)[:-1]) == []
    assert receiver.feed(frame(big)[-1:]) == [big]
    assert sys.getsizeof(receiver._buffer) < 100


@given(
    st.lists(st.binary(max_size=30), max_size=8).map(lambda p: b"".join(map(netstring, p))),
    st.sampled_from(
        [b"", b"1", b"12:", b"5:abc", b"01:a,", b"1:ab", b":,", b"x", b"-1:a,", b"99:"]
    ),
)
def test_whole_netstrings_are_cut_off_the_front(whole: bytes, rest: bytes) -> None:
    """The rest stays, incomplete or wrong, for the code that reports errors."""
    assert cut_netstrings(whole + rest, 30) == (Netstrings().feed(whole), len(whole))


def test_a_netstring_beyond_the_limit_is_not_cut_off() -> None:
    """A netstring of exactly the limit is cut off."""
    assert cut_netstrings(b"10:aaaaaaaaaa,11:aaaaaaaaaaa,", 10) == ([b"a" * 10], 14)


PRETTY = b'{\n  "jsonrpc": "2.0",\n  "method": "server.ping",\n  "params": {\n  },\n  "id": 1\n}\n'
REQUEST = b'{"jsonrpc":"2.0","method":"server.ping","id":2}'


def test_json_over_several_lines_is_one_message_that_is_broken() -> None:
    """The client gets one error, not one for each line."""
    assert Lines().feed(PRETTY) == [b"{"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_after_json_over_several_lines_requests_are_taken_again(size: int) -> None:
    """The reads may cut the bytes anywhere."""
    lines, found = Lines(), []
    data = PRETTY + PRETTY + REQUEST + b"\n" + REQUEST + b"\n"
    for at in range(0, len(data), size):
        found += lines.feed(data[at : at + size])
    assert found == [b"{", REQUEST, REQUEST]


@pytest.mark.parametrize("line", [b'{"a": 1', b'{"open', b"]", b"nonsense"])
def test_a_broken_line_costs_no_other(line: bytes) -> None:
    """The receiver does not take it for JSON over several lines."""
    assert Lines().feed(line + b"\n{}\n") == [line, b"{}"]


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"POST /v1 HTTP/1.1\r\n", b"PRI * HTTP/2.0"]
)
def test_http_is_recognised(first: bytes) -> None:
    """A method and a space identify it."""
    with pytest.raises(HTTPRequest, match="speaks JSON-RPC 2.0, not HTTP"):
        sniff(first)


def test_what_only_looks_like_http_is_not() -> None:
    """The method's name alone is not enough."""
    with pytest.raises(FramingError) as caught:
        sniff(b"GETTING")
    assert not isinstance(caught.value, HTTPRequest)
