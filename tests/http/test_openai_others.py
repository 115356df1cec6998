"""Completions, embeddings, reranking and tokens: JSON to parameters, and back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.openai.completions import read_completion, total_usage
from rkllm_twisted.http.openai.embeddings import embeddings_answer, read_embeddings
from rkllm_twisted.http.openai.rerank import read_rerank, rerank_answer
from rkllm_twisted.http.openai.tokens import (
    read_apply_template,
    read_detokenize,
    read_tokenize,
)

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("prompt", "n", "prompts"),
    [
        ("a", None, ["a"]),
        ("a", 2, ["a", "a"]),
        ([1, 2], None, [[1, 2]]),
        (["a", "b"], None, ["a", "b"]),
        ([[1], [2, 3]], None, [[1], [2, 3]]),
        (["a", [1]], None, ["a", [1]]),
    ],
)
def test_each_prompt_is_a_run(prompt: object, n: int | None, prompts: object) -> None:
    assert read_completion({"prompt": prompt, "n": n}).prompts == prompts


def test_a_completions_fields_become_parameters() -> None:
    body = {"prompt": "a", "suffix": "b", "max_tokens": 3, "stop": "x", "top_p": 0.5, "seed": 1}
    call = read_completion(body).for_release(samples=True)
    assert call.params == {
        "stop": "x",
        "max_new_tokens": 3,
        "suffix": "b",
        "sampling": {"top_p": 0.5},
    }
    assert [*call.ignored] == ["seed"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": [True]}, "prompt[0]"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": [1], "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "logprobs": 1}, "logprobs"),
    ],
)
def test_a_wrong_completion_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read_completion(body)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_each_prompt_of_a_completion_counts() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1}
    total = total_usage([{"usage": usage}, {"usage": usage}])
    assert (total["prompt_tokens"], total["completion_tokens"], total["total_tokens"]) == (6, 4, 10)


def test_embeddings_have_their_index() -> None:
    call = read_embeddings({"input": ["a"], "dimensions": 2, "user": "me", "odd": 1})
    assert (call.params, call.ignored) == ({"input": ["a"], "dimensions": 2}, {"odd": ""})
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    answer = embeddings_answer("m", {"embeddings": ["AAA=", "BBB="], "usage": usage})
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": "AAA="},
            {"object": "embedding", "index": 1, "embedding": "BBB="},
        ],
        "model": "m",
        "usage": usage,
    }


def test_a_reranked_document_has_its_score_and_its_text_if_that_was_asked_for() -> None:
    body = {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True}
    assert read_rerank(body).params == body
    found = [{"index": 1, "score": 0.5, "document": "b"}, {"index": 0, "score": 0.1}]
    answer = rerank_answer("rerank-1", "m", {"results": found, "usage": {"total_tokens": 7}})
    assert answer["results"] == [
        {"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
        {"index": 0, "relevance_score": 0.1},
    ]


@pytest.mark.parametrize(
    ("read", "body", "params"),
    [
        (read_tokenize, {"content": "a"}, {"text": "a", "marks": True}),
        (read_tokenize, {"content": "", "parse_special": False}, {"text": "", "marks": False}),
        (read_detokenize, {"tokens": [1]}, {"tokens": [1]}),
        (
            read_apply_template,
            {"messages": HELLO, "reasoning_effort": "none"},
            {"messages": HELLO, "enable_thinking": False},
        ),
    ],
)
def test_tokens_and_templates_have_their_parameters(read: Any, body: Any, params: Any) -> None:
    call = read(body)
    assert (call.params, call.ignored) == (params, {})


READERS = [
    read_completion,
    read_embeddings,
    read_rerank,
    read_tokenize,
    read_detokenize,
    read_apply_template,
]
NAMES = "prompt input query documents top_n content tokens messages n stop suffix echo stream odd"
VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers() | st.text())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(st.sampled_from(READERS), st.dictionaries(st.sampled_from(NAMES.split()), VALUES))
def test_any_body_is_read_or_refused(read: Any, body: dict[str, Any]) -> None:
    with contextlib.suppress(HTTPError):
        read(body)
