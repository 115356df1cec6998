"""``/v1/chat/completions`` over a fake daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from http_rig import HOME, HTTPRig

from rkllm_twisted.errors import Busy, RuntimeRefused
from rkllm_twisted.testing import Answer, Crash

PATH = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"Hello": "Hi there", "stop": "one two three four"})
    yield rig
    rig.close()


def test_an_answer_has_openais_form(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "mine", "messages": HELLO})
    assert response.status == 200
    body = response.json
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "mine"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"]["completion_tokens"] == 2
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + 2


@pytest.mark.parametrize("path", [PATH, "/chat/completions"])
def test_both_paths_are_served(rig: HTTPRig, path: str) -> None:
    assert rig.post(path, {"messages": HELLO}).status == 200


def test_a_stream_has_a_chunk_for_each_token_and_ends_with_done(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "mine", "messages": HELLO, "stream": True})
    assert response.headers["content-type"] == "text/event-stream"
    first, *pieces, last = response.chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [piece["choices"][0]["delta"]["content"] for piece in pieces] == ["Hi", " there"]
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert all("usage" not in chunk for chunk in response.chunks)
    assert len({chunk["id"] for chunk in response.chunks}) == 1


def test_usage_comes_in_a_chunk_of_its_own_if_it_is_asked_for(rig: HTTPRig) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = rig.post(PATH, {"messages": HELLO, **options}).chunks
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 2


def test_several_answers_have_an_index_each(rig: HTTPRig) -> None:
    body = rig.post(PATH, {"messages": HELLO, "n": 2}).json
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    chunks = rig.post(PATH, {"messages": HELLO, "n": 2, "stream": True}).chunks
    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1}


def test_a_stop_text_ends_the_answer(rig: HTTPRig) -> None:
    messages = [{"role": "user", "content": "stop"}]
    body = rig.post(PATH, {"messages": messages, "stop": [" three"]}).json
    assert body["choices"][0]["message"]["content"] == "one two"


def test_what_rkllm_cannot_do_is_named(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"messages": HELLO, "seed": 1, "min_p": 0.1, "user": "me"})
    assert response.headers["x-rkllm-ignored"] == "seed, min_p"


def test_sampling_is_named_as_ignored_on_a_release_that_takes_it_with_init_only() -> None:
    rig = HTTPRig(release="1.2.1")
    response = rig.post(PATH, {"messages": HELLO, "temperature": 0.5})
    assert (response.status, response.headers["x-rkllm-ignored"]) == (200, "temperature")
    rig.close()


def test_sampling_reaches_the_run(rig: HTTPRig) -> None:
    rig.post(PATH, {"messages": HELLO, "temperature": 0, "top_p": 0.5, "max_tokens": 3})
    (call,) = [call for call in rig.daemon.calls if call.method == "chat.complete"]
    assert call.params["sampling"] == {"top_k": 1, "top_p": 0.5}
    assert call.params["max_new_tokens"] == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": HELLO, "temperature": 3}, "temperature"),
        ({"messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ({"messages": HELLO, "logprobs": True}, "logprobs"),
        ({"messages": HELLO, "logit_bias": {"1": 2}}, "logit_bias"),
        ({"messages": HELLO, "n": 99}, "n"),
        ({"messages": HELLO, "response_format": {"type": "poem"}}, "response_format"),
    ],
)
def test_a_wrong_field_is_named(rig: HTTPRig, body: object, param: str) -> None:
    response = rig.post(PATH, body)
    assert response.status == 400
    error = response.json["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param


def test_an_unknown_model_is_not_found(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "other", "messages": HELLO})
    assert (response.status, response.json["error"]["code"]) == (404, "model_not_found")
    assert "mine" in response.json["error"]["message"]


@pytest.mark.parametrize(
    ("reply", "status", "retry"),
    [
        (RuntimeRefused("It refused.", {}), 500, "false"),
        (Crash(), 500, "false"),
        (Busy("It is busy.", {}), 503, "true"),
    ],
)
def test_a_daemons_error_has_its_status_with_and_without_stream(
    reply: object, status: int, retry: str
) -> None:
    for stream in (False, True):
        rig = HTTPRig(answers={"Hello": reply})
        response = rig.post(PATH, {"messages": HELLO, "stream": stream})
        assert response.status == status
        assert response.headers["x-should-retry"] == retry
        assert "Traceback" not in response.body.decode()
        rig.close()


def test_an_error_amid_a_stream_is_its_last_event() -> None:
    rig = HTTPRig(answers={"Hello": Answer("Hi you", then=Crash())})
    response = rig.post(PATH, {"messages": HELLO, "stream": True})
    *_, last = response.events
    assert json.loads(last)["error"]["code"] == "runtime_crashed"
    assert "[DONE]" not in response.events
    rig.close()


def test_without_a_daemon_the_answer_says_so_and_when_to_try_again() -> None:
    rig = HTTPRig(is_there=False)
    response = rig.post(PATH, {"messages": HELLO})
    assert (response.status, response.json["error"]["code"]) == (503, "daemon_unavailable")
    assert response.headers["retry-after"] == "5"


def test_a_client_that_leaves_ends_its_run() -> None:
    rig = HTTPRig(answers={"Hello": Answer("word", endless=True)})
    visitor = rig.start("POST", PATH, {"messages": HELLO, "stream": True})
    for _ in range(4):
        rig.advance(0.001)
    assert visitor.streamed.count('"word"') > 2
    assert rig.runs
    visitor.transport.abortConnection()
    rig.advance(0.05)
    assert not rig.runs
    rig.close()


def test_the_model_that_is_asked_for_is_the_daemons_that_has_it() -> None:
    names = ("small", "large")
    rig = HTTPRig(daemons=[{"model": f"{HOME}/{name}.rkllm", "default": name} for name in names])
    for name in names:
        body = rig.post(PATH, {"model": name, "messages": HELLO}).json
        assert body["choices"][0]["message"]["content"] == name
    rig.close()
