"""Anthropic's paths: the translation by itself, and over a fake daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_rig import HTTPRig, Response, rig_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.errors import Busy, HTTPError
from rkllm_twisted.http.anthropic.answer import MessageEvents, message_answer
from rkllm_twisted.http.anthropic.call import read_count_call, read_message_call
from rkllm_twisted.testing import Answer, Crash

PATH = "/v1/messages"
HELLO = [{"role": "user", "content": "Hello"}]
LOOK = {"name": "look", "description": "Look.", "input_schema": {"type": "object"}}
OPENAI_LOOK = {
    "type": "function",
    "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}},
}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "Ü"}}
CALL = {
    "id": "toolu_1",
    "type": "function",
    "function": {"name": "look", "arguments": '{"at": "Ü"}'},
}
USAGE = {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 3, "reasoning_tokens": 0}


def text(words: str) -> dict[str, str]:
    """A block of text."""
    return {"type": "text", "text": words}


def tool_result(**further: object) -> dict[str, object]:
    """A block with the result of USE."""
    return {"type": "tool_result", "tool_use_id": "toolu_1", **further}


#: Anthropic's messages -> the daemon's.
CONVERSATIONS: list[tuple[list[Any], list[Any]]] = [
    (HELLO, HELLO),
    ([{"role": "user", "content": [text("a"), text("b")]}], [{"role": "user", "content": "ab"}]),
    (
        [
            *HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                    text("I look."),
                    USE,
                ],
            },
            {"role": "user", "content": [tool_result(content="there"), text("And?")]},
        ],
        [
            *HELLO,
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "Hm",
                "tool_calls": [CALL],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "there"},
            {"role": "user", "content": "And?"},
        ],
    ),
    (
        [
            *HELLO,
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [tool_result(content=[text("no")], is_error=True)]},
        ],
        [
            *HELLO,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: no"},
        ],
    ),
]


@pytest.mark.parametrize(("given_", "made"), CONVERSATIONS)
def test_a_conversation_becomes_the_daemons(given_: list[Any], made: list[Any]) -> None:
    call = read_message_call({"messages": given_, "max_tokens": 5})
    assert call.params == {"messages": made, "max_new_tokens": 5, "enable_thinking": False}


@pytest.mark.parametrize("system", ["Be brief.", [text("Be "), text("brief.")]])
def test_the_system_message_comes_first(system: object) -> None:
    call = read_message_call({"messages": HELLO, "max_tokens": 5, "system": system})
    assert call.params["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO]


@pytest.mark.parametrize(
    ("further", "params"),
    [
        ({"stop_sequences": ["x"]}, {"stop": ["x"]}),
        ({"stop_sequences": []}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, {"enable_thinking": True}),
        ({"thinking": {"type": "disabled"}}, {}),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}},
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
        ),
        (
            {"output_format": {"type": "json_schema", "schema": {"a": 1}}},
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
        ),
        ({"tools": [LOOK]}, {"tools": [OPENAI_LOOK]}),
        ({"tools": []}, {}),
        (
            {"tools": [LOOK], "tool_choice": {"type": "any"}},
            {"tools": [OPENAI_LOOK], "tool_choice": "required"},
        ),
        (
            {"tools": [LOOK], "tool_choice": {"type": "tool", "name": "look"}},
            {
                "tools": [OPENAI_LOOK],
                "tool_choice": {"type": "function", "function": {"name": "look"}},
            },
        ),
    ],
)
def test_a_field_becomes_parameters(further: dict[str, Any], params: dict[str, Any]) -> None:
    call = read_message_call({"messages": HELLO, "max_tokens": 5, **further})
    expected = {"messages": HELLO, "max_new_tokens": 5, "enable_thinking": False, **params}
    assert call.params == expected


def test_adaptive_thinking_is_the_models_own_choice() -> None:
    call = read_message_call({"messages": HELLO, "max_tokens": 5, "thinking": {"type": "adaptive"}})
    assert "enable_thinking" not in call.params


@pytest.mark.parametrize(
    ("further", "ignored"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, ("thinking.budget_tokens",)),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            ("tools[0] (web_search_20250305)",),
        ),
        ({"metadata": {"user_id": "me"}, "service_tier": "auto", "new": 1}, ("new",)),
    ],
)
def test_what_changes_nothing_is_named(further: dict[str, Any], ignored: tuple[str, ...]) -> None:
    call = read_message_call({"messages": HELLO, "max_tokens": 5, **further})
    assert tuple(call.ignored) == ignored


def test_an_image_is_a_part_of_a_question() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    body = content(text("What?"), {"type": "image", "source": source})
    message = read_message_call(body).params["messages"][-1]
    assert message["content"] == [
        text("What?"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


def test_an_image_may_be_the_result_of_a_tool() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    shown = {"type": "image", "source": source}
    used = {"role": "assistant", "content": [USE]}
    result = tool_result(content=[text("The screen:"), shown])
    asked = {"role": "user", "content": [result, text("What is it?")]}
    body = {"messages": [*HELLO, used, asked], "max_tokens": 5}
    tool, user = read_message_call(body).params["messages"][-2:]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert (tool["role"], tool["content"]) == ("tool", [text("The screen:"), image])
    assert user == {"role": "user", "content": "What is it?"}


def content(*blocks: object, role: str = "user") -> dict[str, Any]:
    """A request with one more message."""
    return {"messages": [*HELLO, {"role": role, "content": list(blocks)}], "max_tokens": 5}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": HELLO}, "max_tokens"),
        ({"messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ({"messages": [], "max_tokens": 5}, "messages"),
        ({"messages": ["x"], "max_tokens": 5}, "messages[0].role"),
        ({"messages": [{"role": "user"}], "max_tokens": 5}, "messages[0].content"),
        (content({"type": "image", "source": {}}), "messages[1].content[0].source.type"),
        (
            content({"type": "image", "source": {"type": "url", "url": "http://example.org"}}),
            "messages[1].content[0].source.type",
        ),
        (
            content({"type": "image", "source": {"type": "base64"}}),
            "messages[1].content[0].source.data",
        ),
        (
            content(
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/svg+xml", "data": "aGk="},
                }
            ),
            "messages[1].content[0].source.media_type",
        ),
        (content({"type": "document"}), "messages[1].content[0].type"),
        (content({"type": "text"}), "messages[1].content[0].text"),
        (content(tool_result()), "messages[1].content[0].tool_use_id"),
        (content({**USE, "input": []}, role="assistant"), "messages[1].content[0].input"),
        (content(text("x"), role="assistant"), "messages[1].role"),
        ({"messages": HELLO, "max_tokens": 5, "system": [USE]}, "system[0].type"),
        ({"messages": HELLO, "max_tokens": 5, "tools": [{}]}, "tools[0].name"),
        ({"messages": HELLO, "max_tokens": 5, "mcp_servers": [{}]}, "mcp_servers"),
        ({"messages": HELLO, "max_tokens": 5, "thinking": {"type": "x"}}, "thinking.type"),
        ({"messages": HELLO, "max_tokens": 5, "thinking": {"type": []}}, "thinking.type"),
        (
            {"messages": HELLO, "max_tokens": 5, "tools": [LOOK], "tool_choice": {"type": {}}},
            "tool_choice.type",
        ),
        (
            {"messages": HELLO, "max_tokens": 5, "tools": [LOOK], "tool_choice": {"type": "x"}},
            "tool_choice.type",
        ),
    ],
)
def test_a_wrong_value_is_named_by_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read_message_call(body)
    assert (caught.value.status, caught.value.param) == (400, place)


def test_counting_needs_no_limit() -> None:
    call = read_count_call({"model": "m", "messages": HELLO, "tools": [LOOK]})
    assert call.params["tools"] == [OPENAI_LOOK]
    assert "max_new_tokens" not in call.params


def result(reason: str = "stop", **message: Any) -> dict[str, Any]:
    """A result of chat.complete."""
    message = {"role": "assistant", "content": None, **message}
    return {"message": message, "finish_reason": reason, "usage": USAGE}


def test_a_whole_answer_has_a_block_for_each_part() -> None:
    given_ = result("tool_calls", reasoning_content="Hm", content="I look.", tool_calls=[CALL])
    body: Any = message_answer("msg_1", "m", given_)
    assert body["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": ""},
        text("I look."),
        USE,
    ]
    assert (body["stop_reason"], body["stop_sequence"]) == ("tool_use", None)
    assert body["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 2,
        "output_tokens": 3,
    }


@pytest.mark.parametrize(("reason", "said"), [("stop", "end_turn"), ("length", "max_tokens")])
def test_an_answer_says_why_it_ended(reason: str, said: str) -> None:
    assert message_answer("msg_1", "m", result(reason, content="x"))["stop_reason"] == said


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
def test_blocks_are_opened_and_closed_one_after_another(pieces: list[Any]) -> None:
    events = MessageEvents("msg_1", "m")
    sent: list[Any] = [*events.first()]
    for piece in pieces:
        sent += events.piece(piece)
    sent += events.last(result(content="x"))
    blocks = [event for event in sent if event["type"].startswith("content_block")]
    opened = -1
    is_open = False
    for event in blocks:
        if event["type"] == "content_block_start":
            assert not is_open
            opened, is_open = opened + 1, True
        assert is_open
        assert event["index"] == opened
        is_open = event["type"] != "content_block_stop"
    assert not is_open
    assert opened >= 0
    texts = [event["delta"].get("text", "") for event in blocks if "delta" in event]
    assert "".join(texts) == "".join(piece.get("content", "") for piece in pieces)


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"Hello": "Hi there"})
    yield rig
    rig.close()


def events_of(response: Response) -> list[Any]:
    """The events; each must have its type as its name."""
    found = []
    for block in response.body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_a_message_is_answered(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "mine", "max_tokens": 9, "messages": HELLO})
    assert response.status == 200
    assert response.json["content"] == [text("Hi there")]
    assert response.json["id"].startswith("msg_")


def test_a_stream_has_named_events(rig: HTTPRig) -> None:
    body = {"model": "mine", "max_tokens": 9, "messages": HELLO, "stream": True}
    events = events_of(rig.post(PATH, body))
    assert [event["type"] for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[-2]["usage"]["output_tokens"] == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [(Busy("It is busy.", {}), 503, "overloaded_error"), (Crash(), 500, "api_error")],
)
def test_an_error_has_its_status_and_type(
    reply: object, status: int, kind: str, stream: bool
) -> None:
    rig = HTTPRig(answers={"Hello": reply})
    body = {"model": "mine", "max_tokens": 9, "messages": HELLO, "stream": stream}
    response = rig.post(PATH, body)
    assert (response.status, response.json["error"]["type"]) == (status, kind)
    rig.close()


def test_an_error_amid_a_stream_is_an_event() -> None:
    rig = HTTPRig(answers={"Hello": Answer("Hi you", then=Crash())})
    body = {"model": "mine", "max_tokens": 9, "messages": HELLO, "stream": True}
    assert events_of(rig.post(PATH, body))[-1]["type"] == "error"
    rig.close()


def test_an_unknown_model_is_not_found(rig: HTTPRig) -> None:
    response = rig.post(PATH, {"model": "claude", "max_tokens": 9, "messages": HELLO})
    assert (response.status, response.json["error"]["type"]) == (404, "not_found_error")


def test_counting_without_a_tokenizer_says_what_to_do(tmp_path: Path) -> None:
    rig = rig_with("template", tmp_path)
    response = rig.post(f"{PATH}/count_tokens", {"model": "m", "messages": HELLO})
    assert response.status == 400
    assert "tokenizer.json" in response.json["error"]["message"]
    rig.close()
