"""Every text of json_corpus.py gets the answer in its table, from the parser to the dispatcher."""

from __future__ import annotations

import json

import pytest
from json_corpus import (
    ACCEPT,
    HALVES_ELSEWHERE,
    INVALID_PARAMS,
    INVALID_REQUEST,
    OPEN_ACCEPT,
    OPEN_REFUSE,
    OTHER_ENCODINGS,
    PARSE_ERROR,
    REFUSE,
    REFUSE_ALONE,
    TRUNCATED,
)
from memory_client import MemoryClient, code, dispatcher

from rkllm_twisted.rpc.conversation import Conversation
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.jsonrpc import Malformed, Notification, Request, parse

ACCEPTED = {**ACCEPT, **OPEN_ACCEPT}
REFUSED = {
    **{name: (text, PARSE_ERROR) for name, text in REFUSE.items()},
    **OPEN_REFUSE,
    **{f"cut at {at}": (TRUNCATED[:at], PARSE_ERROR) for at in range(2, len(TRUNCATED))},
}
ALONE = {**REFUSE_ALONE, **REFUSE, "cut at 1": TRUNCATED[:1]}


def request(text: bytes) -> bytes:
    """A request with the text as its one parameter."""
    return b'{"jsonrpc":"2.0","id":7,"method":"echo","params":[%b]}' % text


def answer(payload: bytes) -> bytes:
    """The immediate answer of a conversation to one message."""
    sent: list[bytes] = []
    reply = Conversation(dispatcher(), Peer(1), sent.extend).received(payload)
    assert reply is not None
    assert not sent
    return reply


def exactly(value: object) -> str:
    """Convert a value so that 1 and 1.0, 0.0 and -0.0, and true and 1 differ."""
    return repr(value)


def no_constant(name: str) -> object:
    raise ValueError(name)


def by_another_parser(text: bytes) -> object:
    """The value by Python's own parser, without its extensions to JSON."""
    return json.loads(text.decode("utf-8"), parse_constant=no_constant)


def test_the_tables_hold_what_they_say() -> None:
    """The tables have at least 600 handwritten texts, and no text twice."""
    by_hand = [ACCEPT, REFUSE, REFUSE_ALONE, OPEN_ACCEPT, OPEN_REFUSE, OTHER_ENCODINGS]
    assert sum(map(len, by_hand)) >= 600
    texts = [text for text, _ in [*ACCEPTED.values(), *REFUSED.values()]]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", ACCEPT)
def test_another_parser_gives_the_tables_values(name: str) -> None:
    """Python's parser confirms the handwritten values."""
    text, value = ACCEPT[name]
    assert exactly(by_another_parser(text)) == exactly(value)


@pytest.mark.parametrize("name", ALONE)
def test_another_parser_refuses_the_tables_texts(name: str) -> None:
    """An independent parser confirms each refusal."""
    with pytest.raises((ValueError, RecursionError)):
        by_another_parser(ALONE[name])


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_value_arrives_equal(name: str) -> None:
    """The value is a parameter by position and by name, of a request and of a notification."""
    text, value = ACCEPTED[name]
    message = parse(request(text))
    assert isinstance(message, Request)
    assert exactly(message.params) == exactly([value])
    by_name = parse(b'{"params" : {"x" :%b\n},"method":"echo","jsonrpc":"2.0"}' % text)
    assert isinstance(by_name, Notification)
    assert exactly(by_name.params) == exactly({"x": value})


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_value_comes_back_equal(name: str) -> None:
    """The echo's answer is JSON for another parser and has an equal value."""
    text, value = ACCEPTED[name]
    reply = by_another_parser(answer(request(text)))
    assert isinstance(reply, dict)
    assert reply["id"] == 7
    assert reply["result"] == [value]


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_value_alone_is_json_but_no_request(name: str) -> None:
    """The error is -32600, once or for each member; no method is called."""
    reply = json.loads(answer(ACCEPTED[name][0]))
    answers = reply if isinstance(reply, list) else [reply]
    assert {code(each) for each in answers} == {INVALID_REQUEST}
    assert {each["id"] for each in answers} == {None}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_value_gets_its_code(name: str) -> None:
    """The error has the request's id if the message is JSON, else null; no method is called."""
    text, expected = REFUSED[name]
    message = parse(request(text))
    assert isinstance(message, Malformed)
    assert message.error.code == expected
    assert message.id == (None if expected == PARSE_ERROR else b"7")
    reply = json.loads(answer(request(text)))
    assert (code(reply), reply["id"]) == (expected, json.loads(message.id or b"null"))


@pytest.mark.parametrize("name", ALONE)
def test_a_refused_text_alone_is_a_parse_error(name: str) -> None:
    """The client gets one answer with id null."""
    message = parse(ALONE[name])
    assert isinstance(message, Malformed)
    assert (message.error.code, message.id) == (PARSE_ERROR, None)
    reply = json.loads(answer(ALONE[name]))
    assert (code(reply), reply["id"]) == (PARSE_ERROR, None)


@pytest.mark.parametrize("name", REFUSE)
def test_one_refused_text_refuses_its_whole_batch(name: str) -> None:
    """No member is called, since the end of the refused text is unknown."""
    batch = b"[%b,%b,%b]" % (request(b"1"), request(REFUSE[name]), request(b"2"))
    reply = json.loads(answer(batch))
    assert (code(reply), reply["id"]) == (PARSE_ERROR, None)


@pytest.mark.parametrize("name", REFUSED)
def test_the_line_after_a_refused_one_is_answered(name: str) -> None:
    """A newline ends the refused text, even if its brackets are unbalanced."""
    talk = MemoryClient()
    talk.send(request(REFUSED[name][0]) + b"\n" + request(b'"next"') + b"\n")
    for _ in range(10):
        talk.turn()
    *refusals, after = talk.answers()
    assert after == {"jsonrpc": "2.0", "id": 7, "result": ["next"]}
    assert refusals
    assert {code(refusal) for refusal in refusals} <= {PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS}


@pytest.mark.parametrize("name", OTHER_ENCODINGS)
def test_a_message_in_another_encoding_is_a_parse_error(name: str) -> None:
    """Only UTF-8 without a byte order mark is accepted."""
    payload = request(b'"ok"').decode().encode(OTHER_ENCODINGS[name])
    assert payload != request(b'"ok"')
    reply = json.loads(answer(payload))
    assert (code(reply), reply["id"]) == (PARSE_ERROR, None)


@pytest.mark.parametrize("name", HALVES_ELSEWHERE)
def test_half_a_pair_is_told_with_the_id_where_that_is_sure(name: str) -> None:
    """The half pair may be anywhere in the message."""
    payload, expected, request_id = HALVES_ELSEWHERE[name]
    reply = json.loads(answer(payload))
    assert (code(reply), reply["id"]) == (expected, request_id)
