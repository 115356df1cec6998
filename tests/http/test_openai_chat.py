"""OpenAI's chat in JSON to parameters of ``chat.complete``, and back: data in, data out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.openai.chat import read_chat
from rkllm_twisted.http.openai.chat_answer import ChatChunks, Label, chat_completion, usage_of
from rkllm_twisted.http.openai.fields import CHAT
from rkllm_twisted.http.translation.fields import Rule, body_schema

HELLO = [{"role": "user", "content": "Hello"}]
LABEL = Label("chatcmpl-1", 7, "m", "fp")

#: Fields of a request -> the parameters that they become, and the fields that are named.
PAIRS: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ({}, {}, ()),
    ({"max_tokens": 5}, {"max_new_tokens": 5}, ()),
    ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_new_tokens": 6}, ()),
    ({"max_tokens": None}, {}, ()),
    ({"temperature": 0.5}, {"sampling": {"temperature": 0.5}}, ()),
    ({"temperature": 0}, {"sampling": {"top_k": 1}}, ()),
    ({"temperature": 0, "top_k": 40}, {"sampling": {"top_k": 1}}, ()),
    ({"repetition_penalty": 1.1}, {"sampling": {"repeat_penalty": 1.1}}, ()),
    (
        {"top_p": 1, "presence_penalty": -2, "frequency_penalty": 2},
        {"sampling": {"top_p": 1, "presence_penalty": -2, "frequency_penalty": 2}},
        (),
    ),
    ({"stop": "x"}, {"stop": "x"}, ()),
    ({"stop": ["x", "y"]}, {"stop": ["x", "y"]}, ()),
    ({"tools": [1], "tool_choice": "auto"}, {"tools": [1], "tool_choice": "auto"}, ()),
    ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}, ()),
    ({"enable_thinking": False}, {"enable_thinking": False}, ()),
    ({"chat_template_kwargs": {"enable_thinking": True}}, {"enable_thinking": True}, ()),
    ({"reasoning_effort": "none"}, {"enable_thinking": False}, ()),
    ({"reasoning_effort": "high"}, {"enable_thinking": True}, ()),
    ({"prompt_cache_key": "chat-1"}, {"conversation": "chat-1"}, ()),
    ({"seed": 1}, {}, ("seed",)),
    ({"seed": None, "min_p": 0, "logprobs": False, "logit_bias": {}}, {}, ()),
    ({"parallel_tool_calls": False}, {}, ("parallel_tool_calls",)),
    ({"user": "me", "metadata": {}, "store": True, "service_tier": "auto"}, {}, ()),
    ({"ignore_eos": True, "keep_alive": "5m"}, {}, ("ignore_eos", "keep_alive")),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logit_bias": {"1": 1}}, "logit_bias"),
    ({"functions": [{}]}, "functions"),
    ({"modalities": ["audio"]}, "modalities"),
    ({"n": 0}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"model": 1}, "model"),
    ({"reasoning_effort": 1}, "reasoning_effort"),
]


@pytest.mark.parametrize(("fields", "params", "ignored"), PAIRS, ids=[str(p[0]) for p in PAIRS])
def test_fields_become_parameters(
    fields: dict[str, Any], params: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    call = read_chat({"messages": HELLO, **fields}).for_release(samples=True)
    assert call.params == {"messages": HELLO, **params}
    assert tuple(call.ignored) == ignored


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[str(p[0]) for p in REFUSED])
def test_what_cannot_be_is_refused_and_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read_chat({"messages": HELLO, **fields})
    assert (caught.value.status, caught.value.param) == (400, param)
    assert caught.value.message.endswith(".")


def test_no_client_of_the_network_names_a_file() -> None:
    content = [{"type": "text", "text": "What?"}, {"type": "image", "path": "/etc/motd.png"}]
    with pytest.raises(HTTPError, match="nothing is fetched") as caught:
        read_chat({"messages": [*HELLO, {"role": "user", "content": content}]})
    assert caught.value.param == "messages[1].content[1].type"


def test_sampling_is_ignored_by_name_if_a_run_cannot_have_its_own() -> None:
    call = read_chat({"messages": HELLO, "temperature": 0, "seed": 1}).for_release(samples=False)
    assert "sampling" not in call.params
    assert [*call.ignored] == ["seed", "temperature"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(st.dictionaries(st.sampled_from([*CHAT, "x"]), JSON, max_size=6))
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    with contextlib.suppress(HTTPError):
        call = read_chat(body)
        assert 1 <= call.n <= 8
        assert "messages" in call.params or body["messages"] is None


def test_every_field_is_described() -> None:
    schema = body_schema(CHAT, ("messages",))
    assert all(schema["properties"][name]["description"] for name in CHAT)
    assert {field.rule for field in CHAT.values()} == set(Rule)


def result(**further: Any) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 9,
        "cached_tokens": 4,
        "completion_tokens": 3,
        "reasoning_tokens": 1,
        "total_tokens": 12,
        "prefill_ms": 10.0,
        "generate_ms": 100.0,
    }
    message = {"role": "assistant", "content": "Hi"}
    base = {"model": "m", "message": message, "finish_reason": "stop", "usage": usage}
    return {**base, **further}


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_a_result_becomes_an_answer() -> None:
    answer = chat_completion(LABEL, [result(tier="tokens", flattened=False)])
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
    }
    assert answer["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert answer["timings"]["prompt_n"] == 5
    assert answer["timings"]["predicted_per_second"] == 30.0
    assert answer["rkllm"] == {"tier": "tokens", "flattened": False}


def test_content_is_null_beside_tool_calls_only() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    (choice,) = chat_completion(LABEL, [result(message=called)])["choices"]
    assert (choice["message"]["content"], choice["message"]["tool_calls"]) == (None, [CALL])
    silent = {"role": "assistant", "content": None}
    (choice,) = chat_completion(LABEL, [result(message=silent)])["choices"]
    assert choice["message"]["content"] == ""


def test_an_answer_that_another_client_has_cut_off_is_an_error() -> None:
    with pytest.raises(HTTPError, match="aborted") as caught:
        chat_completion(LABEL, [result(finish_reason="cancelled")])
    assert caught.value.status == 503


def test_the_usage_of_several_answers_counts_the_prompt_once() -> None:
    usage = usage_of([result(), result()])
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (9, 6, 15)


def begin(index: int = 0, name: str = "f") -> dict[str, Any]:
    return {"tool_call": {"index": index, "id": f"call_{index}", "name": name}}


def arguments(text: str, index: int = 0) -> dict[str, Any]:
    return {"tool_call": {"index": index, "arguments": text}}


def deltas(*pieces: dict[str, Any]) -> list[dict[str, Any]]:
    chunks = ChatChunks(LABEL, 0, has_usage=False)
    made = [as_json(chunk) for piece in pieces for chunk in chunks.piece(piece)]
    made += chunks.last(result())
    return [chunk["choices"][0]["delta"] for chunk in made]


def as_json(chunk: Any) -> Any:
    """Return a chunk, which may be encoded already."""
    return json.loads(chunk) if isinstance(chunk, bytes) else chunk


def call_deltas(index: int, name: str, text: str) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": ""}
    start = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
    piece = {"index": index, "function": {"arguments": text}}
    return [{"tool_calls": [start]}, {"tool_calls": [piece]}]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([{"content": "a"}], [{"content": "a"}]),
        ([{"reasoning_content": "r"}], [{"reasoning_content": "r"}]),
        ([begin(), arguments('{"a"'), arguments(":1}")], call_deltas(0, "f", '{"a":1}')),
        (
            [begin(), arguments("{}"), begin(1, "g"), arguments("[]", 1)],
            call_deltas(0, "f", "{}") + call_deltas(1, "g", "[]"),
        ),
        (
            [begin(), arguments("{}"), {"content": "a"}],
            [*call_deltas(0, "f", "{}"), {"content": "a"}],
        ),
        (
            [begin(), arguments("{"), {"tool_call": {"index": 0, "broken": True}, "content": "<{"}],
            [{"content": "<{"}],
        ),
    ],
)
def test_pieces_become_chunks(pieces: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert deltas(*pieces) == [*expected, {}]


@given(
    st.sampled_from(["content", "reasoning_content"]),
    st.booleans(),
    st.text(min_size=1),
    st.sampled_from(["m", 'a "0" \\', "\0", '"\0"', ""]),
    st.integers(0, 7),
)
def test_a_chunk_with_a_text_is_the_same_to_the_byte(
    name: str, has_usage: bool, text: str, model: str, index: int
) -> None:
    """Its parts that do not change are encoded once, whatever the model's name and the text."""
    label = Label("chatcmpl-1", 7, model, "fp")
    chunks = ChatChunks(label, index, has_usage)
    choice = {"index": index, "delta": {name: text}, "logprobs": None, "finish_reason": None}
    further = {"usage": None} if has_usage else {}
    expected = msgspec.json.encode(label.chunk([choice], **further))
    assert [*chunks.piece({name: text})] == [expected]


@given(st.lists(st.text(min_size=1, max_size=4), max_size=10))
def test_the_chunks_text_is_the_answers(texts: list[str]) -> None:
    joined = "".join(delta.get("content", "") for delta in deltas(*({"content": t} for t in texts)))
    assert joined == "".join(texts)
    json.dumps(joined)
