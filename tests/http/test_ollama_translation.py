"""Ollama's JSON to the daemon's parameters, and results to Ollama's JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.ollama.answer import AnswerLines
from rkllm_twisted.http.ollama.call import AskedModel, read_keep_alive
from rkllm_twisted.http.ollama.chat import read_chat
from rkllm_twisted.http.ollama.embed import read_embed, read_embeddings
from rkllm_twisted.http.ollama.generate import read_generate
from rkllm_twisted.http.ollama.models import Facts, human_count, listed_name, show_answer, tag_entry

NOW = "2026-01-01T00:00:00Z"
HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
USAGE = {
    "prompt_tokens": 7,
    "cached_tokens": 2,
    "completion_tokens": 3,
    "reasoning_tokens": 0,
    "prefill_ms": 1.5,
    "generate_ms": 2.0,
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}

#: The body of a chat -> the parameters of chat.complete beside messages and truncate.
CHATS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"options": {"num_predict": 9}}, {"max_new_tokens": 9}),
    ({"options": {"num_predict": -1}}, {}),
    ({"options": {"num_predict": -2}}, {}),
    ({"options": {"num_predict": 0}}, {}),
    ({"options": {"stop": ["x"]}}, {"stop": ["x"]}),
    ({"options": {"stop": []}}, {}),
    ({"options": None}, {}),
    ({"format": ""}, {}),
    ({"format": None}, {}),
    ({"format": "json"}, {"response_format": {"type": "json_object"}}),
    (
        {"format": {"type": "object"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "format", "schema": {"type": "object"}},
            }
        },
    ),
    ({"think": True}, {"enable_thinking": True}),
    ({"think": "low"}, {"enable_thinking": True}),
    ({"think": False}, {"enable_thinking": False}),
    ({"think": None}, {}),
    ({"tools": [TOOL]}, {"tools": [TOOL]}),
    ({"tools": []}, {}),
]


@pytest.mark.parametrize(("further", "params"), CHATS, ids=lambda one: json.dumps(one)[:40])
def test_a_chat_becomes_parameters(further: dict[str, Any], params: dict[str, Any]) -> None:
    call = read_chat({"model": "m", "messages": HELLO, **further})
    assert (call.method, call.stream) == ("chat.complete", True)
    assert call.params == {"messages": HELLO, "truncate": True, **params}


def test_a_conversation_that_may_not_be_shortened_is_not() -> None:
    assert "truncate" not in read_chat({"messages": HELLO, "truncate": False}).params


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ({"role": "user", "content": "a", "images": []}, {"role": "user", "content": "a"}),
        ({"role": "user", "content": "a", "images": None}, {"role": "user", "content": "a"}),
        ({"role": "assistant"}, {"role": "assistant", "content": ""}),
        (
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "assistant", "tool_calls": [CALL]},
        ),
        (
            {"role": "tool", "content": "1", "tool_name": "look", "tool_call_id": "lost"},
            {"role": "tool", "content": "1", "tool_name": "look"},
        ),
    ],
)
def test_a_message_goes_on_as_the_daemon_reads_it(message: object, read: object) -> None:
    (made,) = read_chat({"messages": [message]}).params["messages"]
    assert made == read


SHOWN = {"type": "image_url", "image_url": {"url": "data:;base64,aGk="}}


def test_images_come_before_a_messages_text() -> None:
    message = {"role": "user", "content": "What?", "images": ["aGk=", "data:;base64,aGk="]}
    (made,) = read_chat({"messages": [message]}).params["messages"]
    content = [SHOWN, SHOWN, {"type": "text", "text": "What?"}]
    assert made == {"role": "user", "content": content}


def test_images_come_before_a_prompt() -> None:
    call = read_generate({"prompt": "What?", "images": ["aGk="]})
    content = [SHOWN, {"type": "text", "text": "What?"}]
    assert call.params["messages"] == [{"role": "user", "content": content}]


def test_an_id_that_is_no_text_is_left_to_the_daemon_to_refuse() -> None:
    message = {"role": "tool", "content": "1", "tool_call_id": [1]}
    assert read_chat({"messages": [message]}).params["messages"] == [message]


def test_a_result_keeps_the_id_of_a_call_that_has_it() -> None:
    result = {"role": "tool", "content": "1", "tool_call_id": "call_1"}
    messages = [*HELLO, {"role": "assistant", "tool_calls": [CALL]}, result]
    assert read_chat({"messages": messages}).params["messages"][2] == result


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"role": "user", "images": "aGk="}]}, "messages[0].images"),
        ({"messages": [{"role": "user", "images": [1]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "user", "images": ["https://a/b.png"]}]}, "messages[0].images[0]"),
        ({"messages": HELLO, "think": "much"}, "think"),
        ({"messages": HELLO, "format": 1}, "format"),
        ({"messages": HELLO, "stream": "yes"}, "stream"),
        ({"messages": HELLO, "options": []}, "options"),
        ({"messages": HELLO, "options": {"temperature": "hot"}}, "temperature"),
        ({"messages": HELLO, "keep_alive": "soon"}, "keep_alive"),
        ({"messages": HELLO, "logprobs": True}, "logprobs"),
        ({"messages": HELLO, "top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_a_wrong_field_of_a_chat_is_named(body: dict[str, Any], place: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read_chat(body)
    assert (caught.value.status, caught.value.param) == (400, place)


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        (
            {"options": {"seed": 3, "min_p": 0.1, "num_thread": 4}},
            ("options.seed", "options.min_p"),
        ),
        ({"options": {"seed": 0, "tfs_z": 1, "new": 1}}, ("options.new",)),
        ({"keep_alive": "5m"}, ("keep_alive",)),
        ({"keep_alive": 0}, ()),
        ({"think": "high"}, ("think (the level)",)),
        ({"shift": True, "unknown": 1}, ("shift", "unknown")),
    ],
)
def test_what_changes_nothing_is_named(body: dict[str, Any], ignored: tuple[str, ...]) -> None:
    assert tuple(read_chat({"messages": HELLO, **body}).ignored) == ignored


def model(*capabilities: str, samples: bool = True) -> AskedModel:
    return AskedModel("m", capabilities, 2048, samples)


@pytest.mark.parametrize(("room", "named"), [(2048, ()), (2049, ("options.num_ctx",))])
def test_more_room_than_the_model_has_is_named(room: int, named: tuple[str, ...]) -> None:
    call = read_chat({"messages": HELLO, "options": {"num_ctx": room}})
    assert tuple(call.for_model(model("completion")).ignored) == named


def test_sampling_is_named_if_the_release_takes_it_with_init_only() -> None:
    call = read_chat({"messages": HELLO, "options": {"temperature": 0, "top_p": 0.5}})
    assert call.for_model(model()).params["sampling"] == {"top_k": 1, "top_p": 0.5}
    old = call.for_model(model(samples=False))
    assert "sampling" not in old.params
    assert [*old.ignored] == ["options.temperature", "options.top_p"]


@pytest.mark.parametrize(("field", "value"), [("tools", [TOOL]), ("think", True)])
def test_what_a_model_cannot_do_is_refused(field: str, value: object) -> None:
    call = read_chat({"messages": HELLO, field: value})
    need = {"tools": "tools", "think": "thinking"}[field]
    assert call.for_model(model("completion", need)).params
    assert call.for_model(AskedModel("m", None, None, True)).params, "it may be able to"
    with pytest.raises(HTTPError, match=f'"m" does not support {need}') as caught:
        call.for_model(model("completion"))
    assert caught.value.status == 400


def test_a_model_that_does_not_think_need_not_be_kept_from_it() -> None:
    call = read_chat({"messages": HELLO, "think": False})
    assert "enable_thinking" not in call.for_model(model("completion")).params
    assert call.for_model(model("thinking")).params["enable_thinking"] is False


@pytest.mark.parametrize("messages", [None, []])
def test_no_messages_only_load_the_model(messages: object) -> None:
    assert read_chat({"messages": messages}).method is None


@pytest.mark.parametrize(
    ("body", "method", "params"),
    [
        ({"prompt": "Hi"}, "chat.complete", {"messages": [{"role": "user", "content": "Hi"}]}),
        (
            {"prompt": "Hi", "system": "Be brief."},
            "chat.complete",
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi"},
                ]
            },
        ),
        ({"prompt": "Hi", "raw": True}, "text.complete", {"prompt": "Hi"}),
        ({"prompt": "a", "suffix": "b"}, "text.complete", {"prompt": "a", "suffix": "b"}),
        ({"prompt": "", "suffix": "b"}, "text.complete", {"prompt": "", "suffix": "b"}),
        ({"prompt": ""}, None, {}),
        ({}, None, {}),
    ],
)
def test_a_prompt_becomes_parameters(
    body: dict[str, Any], method: str | None, params: dict[str, Any]
) -> None:
    call = read_generate(body)
    further = {"truncate": True} if method == "chat.complete" else {}
    assert (call.method, call.params) == (method, {**params, **further})


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1]}, "context"),
        ({"images": "aGk="}, "images"),
        ({"images": ["aGk="], "raw": True}, "images"),
        ({"raw": True, "format": "json"}, "format"),
        ({"prompt": 1}, "prompt"),
    ],
)
def test_a_wrong_field_of_a_prompt_is_named(body: dict[str, Any], place: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read_generate({"prompt": "Hi", **body})
    assert caught.value.param == place


def test_what_means_nothing_without_a_template_is_named() -> None:
    call = read_generate({"prompt": "Hi", "raw": True, "system": "x", "context": []})
    assert [*call.ignored] == ["system"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0),
        ("0", 0),
        ("0s", 0),
        (300, 300),
        (1.5, 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("250ms", 0.25),
        (-1, math.inf),
        ("-1", None),
        ("-1s", math.inf),
        ("24h", 86400),
        ("five", None),
        (True, None),
        ([], None),
    ],
)
def test_keep_alive_is_a_number_or_a_duration(value: object, seconds: float | None) -> None:
    if seconds is None and value not in (None, ""):
        with pytest.raises(HTTPError):
            read_keep_alive(value)
    else:
        assert read_keep_alive(value) == seconds


def result(**message: Any) -> dict[str, Any]:
    return {
        "message": {"role": "assistant", "content": None, **message},
        "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
        "usage": USAGE,
    }


def lines(is_chat: bool = True, elapsed_ns: int = 1) -> AnswerLines:
    return AnswerLines("m", is_chat, lambda: NOW, lambda: elapsed_ns)


def test_a_whole_answer_has_ollamas_form() -> None:
    body = lines(elapsed_ns=10_000_000).whole(result(content="Hi", reasoning_content="Hm"))
    assert body == {
        "model": "m",
        "created_at": NOW,
        "message": {"role": "assistant", "content": "Hi", "thinking": "Hm"},
        "done": True,
        "done_reason": "stop",
        "total_duration": 10_000_000,
        "load_duration": 6_500_000,
        "prompt_eval_count": 7,
        "prompt_eval_duration": 1_500_000,
        "eval_count": 3,
        "eval_duration": 2_000_000,
    }


def test_a_calls_arguments_are_an_object() -> None:
    body: Any = lines().whole(result(tool_calls=[CALL]))
    function = {"index": 0, "name": "look", "arguments": {"a": 1}}
    assert body["message"]["tool_calls"] == [{"id": "call_1", "function": function}]
    assert (body["message"]["content"], body["done_reason"]) == ("", "stop")


def test_a_text_comes_as_response() -> None:
    body: Any = lines(is_chat=False).whole(
        {"text": "Hi", "finish_reason": "length", "usage": USAGE}
    )
    assert (body["response"], body["done_reason"], body["context"]) == ("Hi", "length", [])
    assert "message" not in body


def test_an_aborted_run_is_no_answer() -> None:
    with pytest.raises(HTTPError, match="cut off"):
        lines().whole({**result(content="H"), "finish_reason": "cancelled"})


PIECES = st.lists(
    st.one_of(
        st.builds(lambda text: {"content": text}, st.text(min_size=1)),
        st.builds(lambda text: {"reasoning_content": text}, st.text(min_size=1)),
    )
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PIECES)
def test_the_lines_of_a_stream_are_the_whole_text(pieces: list[dict[str, str]]) -> None:
    answer = lines()
    sent: Any = [line for piece in pieces for line in answer.piece(piece)]
    for name, member in (("content", "content"), ("reasoning_content", "thinking")):
        whole = "".join(piece.get(name, "") for piece in pieces)
        assert "".join(line["message"].get(member, "") for line in sent) == whole
    (last,) = answer.last(result(content="x"))
    assert last["done"]
    assert not any(line["done"] for line in sent)


def test_a_call_is_one_line_and_a_broken_one_is_text() -> None:
    answer = lines()
    pieces: list[dict[str, Any]] = [
        {"tool_call": {"index": 0, "id": "call_1", "name": "look"}},
        {"tool_call": {"index": 0, "arguments": '{"a": '}},
        {"tool_call": {"index": 0, "arguments": "1}"}},
        {"tool_call": {"index": 1, "id": "call_2", "name": "look"}},
        {"tool_call": {"index": 1, "broken": True}, "content": "look {"},
    ]
    sent: Any = [line for piece in pieces for line in answer.piece(piece)]
    sent += answer.last(result(content="look {"))
    assert [len(line["message"].get("tool_calls", [])) for line in sent] == [1, 0, 0]
    assert [line["message"]["content"] for line in sent] == ["", "look {", ""]


@pytest.mark.parametrize(
    ("name", "listed"),
    [("m", "m:latest"), ("m:4b", "m:4b"), ("u/m", "u/m:latest"), ("a:b/m", "a:b/m:latest")],
)
def test_a_name_has_a_tag(name: str, listed: str) -> None:
    assert listed_name(name) == listed


@pytest.mark.parametrize(
    ("count", "text"), [(1_720_000_000, "1.7B"), (135_000_000, "135M"), (7, "7"), (8 * 10**9, "8B")]
)
def test_parameters_are_counted_as_people_do(count: int, text: str) -> None:
    assert human_count(count) == text


@pytest.mark.parametrize(
    ("name", "size", "quantization", "family"),
    [
        ("Qwen3-1.7B-rk3588-w8a8", "1.7B", "W8A8", "qwen3"),
        ("SmolLM2-135M-Q8_0", "135M", "Q8_0", "chatml"),
        ("mine", "", "", ""),
    ],
)
def test_what_no_file_says_is_read_from_the_name(
    name: str, size: str, quantization: str, family: str
) -> None:
    details = tag_entry(Facts(name, None, 5, "", {}))["details"]
    assert isinstance(details, dict)
    found = [details[key] for key in ("parameter_size", "quantization_level", "family")]
    assert found == [size, quantization, family]


def test_show_has_what_editors_look_for() -> None:
    raw = {
        "architecture": "llama",
        "parameters": 135_000_000,
        "capabilities": ["completion", "tools", "vision", "rerank"],
        "template": "{{ messages }}",
        "sampling": {"temperature": 0.5},
        "end_tokens": ["<|im_end|>", 2],
    }
    shown: Any = show_answer(Facts("m", 4096, 5, NOW, raw))
    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["model_info"]["llama.context_length"] == 4096
    assert shown["model_info"]["general.parameter_count"] == 135_000_000
    assert shown["capabilities"] == ["completion", "tools", "vision"]
    assert shown["template"] == "{{ messages }}"
    assert shown["parameters"].splitlines() == [
        "num_ctx 4096",
        "temperature 0.5",
        'stop "<|im_end|>"',
    ]


@pytest.mark.parametrize(
    ("facts", "digest"),
    [
        (Facts("m", None, 5, NOW, {"digest": "ab" * 32}), "ab" * 32),
        (Facts("m", None, 5, NOW, {"digest": None}), None),
    ],
)
def test_a_digest_has_64_digits(facts: Facts, digest: str | None) -> None:
    made = tag_entry(facts)["digest"]
    assert isinstance(made, str)
    assert digest in (made, None)
    assert len(bytes.fromhex(made)) == 32


def test_embeddings_take_texts_and_ignore_the_rest_by_name() -> None:
    call = read_embed({"model": "m", "input": ["a"], "truncate": True, "dimensions": 8})
    assert (call.params, [*call.ignored]) == ({"input": ["a"], "dimensions": 8}, ["truncate"])
    old = read_embeddings({"model": "m", "prompt": "a", "keep_alive": 0})
    assert (old.params, old.unloads, old.ignored) == ({"input": "a"}, True, {})


@pytest.mark.parametrize("text", ["", [], None])
def test_no_text_only_loads_the_model(text: object) -> None:
    assert read_embed({"input": text}).params is None
