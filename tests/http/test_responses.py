"""``/v1/responses``: the translation by itself, and over a fake daemon."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.errors import Busy, HTTPError
from rkllm_twisted.http.openai.response_answer import ResponseEvents, ResponseLabel
from rkllm_twisted.http.openai.response_call import read_response
from rkllm_twisted.testing import Answer, Crash

PATH = "/v1/responses"
HELLO = {"role": "user", "content": "Hello"}
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
CHAT_LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
USAGE = {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 3, "reasoning_tokens": 1}

#: Input -> messages.
INPUTS: list[tuple[Any, list[Any]]] = [
    ("Hello", [HELLO]),
    ([HELLO], [HELLO]),
    (
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        [HELLO],
    ),
    ([{"role": "developer", "content": "Be brief."}, HELLO],) * 2,
    (
        [
            HELLO,
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "H"}],
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            CALL,
            {"type": "function_call_output", "call_id": "c1", "output": "there"},
        ],
        [
            HELLO,
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "H",
                "tool_calls": [CHAT_CALL],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "there"},
        ],
    ),
    (
        [
            HELLO,
            CALL,
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [{"type": "input_image", "image_url": "data:image/png;base64,aGk="}],
            },
        ],
        [
            HELLO,
            {"role": "assistant", "content": "", "tool_calls": [CHAT_CALL]},
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
                ],
            },
        ],
    ),
    (
        [
            HELLO,
            CALL,
            {**CALL, "call_id": "c2"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "function_call_output", "call_id": "c2", "output": "2"},
        ],
        [
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [CHAT_CALL, {**CHAT_CALL, "id": "c2"}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
            {"role": "tool", "tool_call_id": "c2", "content": "2"},
        ],
    ),
]


@pytest.mark.parametrize(("given_", "messages"), INPUTS)
def test_input_becomes_messages(given_: object, messages: list[Any]) -> None:
    assert read_response({"input": given_}).params == {"messages": messages}


@pytest.mark.parametrize(
    ("further", "params"),
    [
        ({"max_output_tokens": 5}, {"max_new_tokens": 5}),
        ({"reasoning": {"effort": "none"}}, {"enable_thinking": False}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"enable_thinking": True}),
        ({"reasoning": None, "text": None, "tools": None}, {}),
        ({"text": {"format": {"type": "text"}}}, {}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {}},
                }
            },
        ),
        ({"truncation": "auto"}, {"truncate": True}),
        ({"truncation": "disabled"}, {}),
        ({"prompt_cache_key": "k"}, {"conversation": "k"}),
        ({"tools": [LOOK]}, {"tools": [CHAT_LOOK]}),
        (
            {"tools": [LOOK], "tool_choice": "required"},
            {"tools": [CHAT_LOOK], "tool_choice": "required"},
        ),
        (
            {"tools": [LOOK], "tool_choice": {"type": "function", "name": "look"}},
            {
                "tools": [CHAT_LOOK],
                "tool_choice": {"type": "function", "function": {"name": "look"}},
            },
        ),
    ],
)
def test_a_field_becomes_parameters(further: dict[str, Any], params: dict[str, Any]) -> None:
    call = read_response({"input": "Hello", **further})
    assert call.params == {"messages": [HELLO], **params}
    assert not call.ignored


def test_instructions_are_the_system_message() -> None:
    call = read_response({"input": "Hello", "instructions": "Be brief."})
    assert call.params["messages"] == [{"role": "system", "content": "Be brief."}, HELLO]


@pytest.mark.parametrize(
    ("further", "ignored"),
    [
        ({"tools": [{"type": "web_search"}, LOOK]}, ("tools[0] (web_search)",)),
        ({"tools": [LOOK], "tool_choice": {"type": "web_search"}}, ("tool_choice",)),
        ({"input": [{"type": "web_search_call"}, HELLO]}, ("input[0] (web_search_call)",)),
        ({"store": True, "include": ["x"], "user": "me", "new": 1}, ("new",)),
    ],
)
def test_what_is_left_out_is_named(further: dict[str, Any], ignored: tuple[str, ...]) -> None:
    assert tuple(read_response({"input": "Hello", **further}).ignored) == ignored


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "system", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [HELLO, {"role": "assistant", "content": "x"}]}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [HELLO, {"type": "function_call_output", "call_id": "c", "output": ""}]},
            "input[1].call_id",
        ),
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "conversation": "c"}, "conversation"),
        ({"input": "x", "background": True}, "background"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read_response(body)
    assert (caught.value.status, caught.value.param) == (400, place)


def label() -> ResponseLabel:
    """A label whose ids are numbered."""
    numbers = itertools.count()
    return ResponseLabel("resp_1", "m", 1, {}, lambda prefix: f"{prefix}_{next(numbers)}")


def result(reason: str = "stop", **message: Any) -> dict[str, Any]:
    """A result of chat.complete."""
    message = {"role": "assistant", "content": None, **message}
    return {"message": message, "finish_reason": reason, "usage": USAGE}


def test_a_whole_answer_has_an_item_for_each_part() -> None:
    given_ = result("tool_calls", reasoning_content="Hm", content="Hi", tool_calls=[CHAT_CALL])
    body: Any = label().whole(given_)
    assert [item["type"] for item in body["output"]] == ["reasoning", "message", "function_call"]
    assert body["output"][2] == {**CALL, "id": "fc_2", "status": "completed"}
    assert (body["status"], body["usage"]["total_tokens"]) == ("completed", 10)


def test_an_answer_that_was_cut_is_incomplete() -> None:
    body: Any = label().whole(result("length", content="Hi"))
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("reason", ["stop", "length"])
@pytest.mark.parametrize(
    "parts",
    [("content",), ("reasoning_content",), ("reasoning_content", "content")],
    ids="+".join,
)
def test_only_the_text_that_was_cut_is_an_incomplete_item(
    parts: tuple[str, ...], reason: str
) -> None:
    given_ = result(reason, **dict.fromkeys(parts, "Hi"))
    whole: Any = label().whole(given_)
    events = ResponseEvents(label())
    sent: list[Any] = [*events.first()]
    for part in parts:
        sent += events.piece({part: "Hi"})
    sent += events.last(given_)
    end = "incomplete" if reason == "length" else "completed"
    wanted = [*["completed"] * (len(parts) - 1), end]
    assert [item["status"] for item in whole["output"]] == wanted
    assert sent[-1]["response"]["output"] == whole["output"]
    assert (sent[-1]["type"], sent[-2]["item"]["status"]) == (f"response.{end}", end)


PIECES = st.lists(
    st.one_of(
        st.builds(lambda words: {"content": words}, st.text(min_size=1)),
        st.builds(lambda words: {"reasoning_content": words}, st.text(min_size=1)),
        st.builds(
            lambda number: {"tool_call": {"index": number, "id": f"c{number}", "name": "look"}},
            st.integers(0, 9),
        ),
    )
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PIECES)
def test_events_are_numbered_and_say_what_the_last_one_has(pieces: list[Any]) -> None:
    events = ResponseEvents(label())
    sent: list[Any] = [*events.first()]
    for piece in pieces:
        sent += events.piece(piece)
    sent += events.last(result(content="x"))
    assert [event["sequence_number"] for event in sent] == list(range(len(sent)))
    done = [event for event in sent if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in done] == list(range(len(done)))
    assert [event["item"] for event in done] == sent[-1]["response"]["output"]
    deltas = [event["delta"] for event in sent if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == "".join(piece.get("content", "") for piece in pieces)


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"Hello": "Hi there"})
    yield rig
    rig.close()


def test_a_question_is_answered(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "mine", "input": "Hello", "temperature": 0.5})
    body = response.json
    assert (response.status, body["object"], body["temperature"]) == (200, "response", 0.5)
    assert body["output"][0]["content"][0]["text"] == "Hi there"


def test_a_stream_has_named_events(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "mine", "input": "Hello", "stream": True})
    events = [json.loads(event) for event in response.events]
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert b"event: response.completed\n" in response.body


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_has_its_status(stream: bool) -> None:
    rig = HTTPRig(answers={"Hello": Busy("It is busy.", {})})
    response = rig.post(PATH, {"model": "mine", "input": "Hello", "stream": stream})
    assert (response.status, response.json["error"]["code"]) == (503, "overloaded")
    rig.close()


def test_an_error_amid_a_stream_fails_the_response() -> None:
    rig = HTTPRig(answers={"Hello": Answer("Hi you", then=Crash())})
    response = rig.post(PATH, {"model": "mine", "input": "Hello", "stream": True})
    *_, failed, error = [json.loads(event) for event in response.events]
    assert failed["response"]["error"]["code"] == "runtime_crashed"
    assert error["error"]["code"] == "runtime_crashed"
    rig.close()


def test_an_image_is_a_part_of_a_question() -> None:
    shown = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}
    content = [{"type": "input_text", "text": "What?"}, shown]
    call = read_response({"input": [{"role": "user", "content": content}]})
    [message] = call.params["messages"]
    assert message["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


def test_an_image_is_not_fetched() -> None:
    shown = {"type": "input_image", "image_url": "http://example.org/a.png"}
    with pytest.raises(HTTPError, match="nothing is fetched"):
        read_response({"input": [{"role": "user", "content": [shown]}]})


def test_an_error_names_the_field_of_this_api() -> None:
    rig = HTTPRig(answers={"Hello": "Hi"})
    form = {"type": "json_schema", "name": "a", "schema": {"not": {}}}
    response = rig.post(PATH, {"model": "mine", "input": "Hello", "text": {"format": form}})
    rig.close()
    assert response.status == 400
    assert response.json["error"]["param"] == "text.format.schema"
    assert response.json["error"]["message"].startswith("text.format.schema: cannot")
