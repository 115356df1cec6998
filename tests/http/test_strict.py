"""``--strict``: what cannot be done is refused, not ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http_rig import HTTPRig

from rkllm_twisted.http.anthropic.call import read_message_call
from rkllm_twisted.http.ollama.chat import read_chat as read_ollama_chat
from rkllm_twisted.http.openai.chat import read_chat
from rkllm_twisted.http.openai.response_call import read_response
from rkllm_twisted.http.translation.sampling import SAMPLING

HELLO = [{"role": "user", "content": "Hello"}]
CHAT, OLLAMA, CLAUDE = "/v1/chat/completions", "/api/chat", "/v1/messages"


@pytest.fixture(scope="module")
def strict() -> Iterator[HTTPRig]:
    rig = HTTPRig("--strict", default="Hi")
    yield rig
    rig.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "field", "named"),
    [
        (CHAT, {"seed": 1}, "seed"),
        (CHAT, {"parallel_tool_calls": False}, "parallel_tool_calls"),
        (OLLAMA, {"options": {"min_p": 0.1}}, "options.min_p"),
        (CLAUDE, {"output_config": {"effort": "low"}}, "output_config.effort"),
    ],
)
def test_what_would_be_ignored_is_refused_and_named(
    strict: HTTPRig, path: str, field: dict[str, Any], named: str, stream: bool
) -> None:
    body = {"model": "mine", "messages": HELLO, "max_tokens": 9, "stream": stream, **field}
    answer = strict.post(path, body)
    assert answer.status == 400
    error = answer.json["error"]
    message = error if isinstance(error, str) else error["message"]
    assert message.startswith(f"{named}: this is not possible here: ")
    if path == CHAT:
        assert error["param"] == named


@pytest.mark.parametrize(
    ("path", "field", "named"),
    [
        (CHAT, {"seed": -1, "user": "me"}, None),
        (CHAT, {"ignore_eos": True}, "ignore_eos"),  # not known; many clients send such fields
        (OLLAMA, {"keep_alive": "5m"}, "keep_alive"),
        (OLLAMA, {"options": {"num_ctx": 2**20}}, "options.num_ctx"),
    ],
)
def test_hints_and_unknown_fields_are_still_taken_and_named(
    strict: HTTPRig, path: str, field: dict[str, Any], named: str | None
) -> None:
    answer = strict.post(path, {"model": "mine", "messages": HELLO, "truncate": False, **field})
    assert (answer.status, answer.headers.get("x-rkllm-ignored")) == (200, named)


@pytest.mark.parametrize(
    ("path", "field", "named"),
    [
        (CHAT, {"temperature": 0.5}, "temperature"),
        (OLLAMA, {"options": {"top_p": 0.5}}, "options.top_p"),
    ],
)
def test_sampling_is_refused_if_a_run_cannot_have_its_own(
    path: str, field: dict[str, Any], named: str
) -> None:
    rig = HTTPRig("--strict", default="Hi", release="1.2.3")
    answer = rig.post(path, {"model": "mine", "messages": HELLO, **field})
    rig.close()
    assert answer.status == 400
    assert named in answer.body.decode()


@pytest.mark.parametrize(
    "read",
    [
        lambda fields: read_chat({"messages": HELLO, **fields}),
        lambda fields: read_response({"input": "Hello", **fields}),
        lambda fields: read_ollama_chat({"messages": HELLO, "options": fields}),
        lambda fields: read_message_call({"messages": HELLO, "max_tokens": 9, **fields}),
    ],
)
def test_no_sampling_field_is_applied_and_called_ignored(read: Callable[..., Any]) -> None:
    call = read(dict.fromkeys(SAMPLING, 1))
    assert len(call.sampling.fields) == len(SAMPLING)
    assert not call.ignored
