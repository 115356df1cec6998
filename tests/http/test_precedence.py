"""Requests that programs make beside the questions of people wait behind those."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig, Visitor

from rkllm_twisted.http.precedence import MAX_WAIT_S, is_background
from rkllm_twisted.testing import Answer, Hang

PATH = "/v1/chat/completions"
TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n"
    "### Chat History:\n<chat_history>\nUSER: Hello\n</chat_history>"
)


def body(text: str, **further: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **further}


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    answers = {"long": Answer([], then=Hang())}
    rig = HTTPRig(answers=answers, default="short")
    yield rig
    rig.close()


def ask(rig: HTTPRig, text: str, **further: Any) -> Visitor:
    visitor = rig.start("POST", PATH, body(text, **further))
    rig.advance(0.1)
    return visitor


@pytest.mark.parametrize("stream", [False, True])
def test_a_title_waits_until_no_person_does(rig: HTTPRig, stream: bool) -> None:
    question = ask(rig, "long")
    title = ask(rig, TITLE, stream=stream)
    assert title.data == b""
    question.transport.abortConnection()
    for _ in range(5):
        rig.advance(0.1)
    assert title.response is not None
    assert title.response.status == 200


def test_a_title_waits_for_no_other_title(rig: HTTPRig) -> None:
    visitors = [ask(rig, TITLE) for _ in range(2)]
    rig.advance(0.1)
    assert all(visitor.response for visitor in visitors)


def test_a_title_whose_client_leaves_is_not_asked_for(rig: HTTPRig) -> None:
    question, title = ask(rig, "long"), ask(rig, TITLE)
    title.transport.abortConnection()
    rig.advance(0.1)
    question.transport.abortConnection()
    rig.advance(0.1)
    assert [call.method for call in rig.daemon.calls].count("chat.complete") == 1


def test_a_title_does_not_wait_for_ever(rig: HTTPRig) -> None:
    ask(rig, "long")
    ask(rig, TITLE)
    rig.advance(MAX_WAIT_S)
    assert [call.method for call in rig.daemon.calls].count("chat.complete") == 2


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([{"role": "user", "content": TITLE}], True),
        ([{"role": "system", "content": "x"}, {"role": "user", "content": TITLE}], True),
        ([{"role": "user", "content": "### Task:\nGenerate a title"}], False),
        ([{"role": "user", "content": f"What is this? {TITLE}"}], False),
        ([{"role": "user", "content": [{"type": "text", "text": TITLE}]}], False),
        ([], False),
        (["x"], False),
        (None, False),
    ],
)
def test_open_webuis_requests_are_known(messages: Any, found: bool) -> None:
    assert is_background(messages) is found
