"""A name from another program leads to the name that this daemon uses."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from rkllm_twisted import cli
from rkllm_twisted.abi.familiar_names import COMMANDS, FIELDS, METHODS
from rkllm_twisted.abi.release import releases
from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import InvalidParams, MethodNotFound
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.testing import FakeDaemon

ASKED = {"prompt_input": "Hi"}


@pytest.mark.parametrize(
    ("method", "params", "word"),
    [
        ("rkllm.run", [{"content": "Hi"}], "prompt_input"),
        ("rkllm.run", [[{"role": "user", "content": "Hi"}]], "prompt_input"),
        ("rkllm.run", {"messages": []}, "keep_history"),
        ("rkllm.run", [ASKED, {"temperature": 0.5}], "sampling_params"),
        ("rkllm.run", [ASKED, {"stop": ["."]}], "no stop words"),
        ("rkllm.run", [ASKED, {"mode": "logits"}], "RKLLM_INFER_GET_LOGITS"),
        ("rkllm.run", [{**ASKED, "role": "sytem"}], "perhaps system is meant"),
        ("rkllm.init", [{"model_path": "/m", "num_ctx": 2048}], "max_context_len"),
        ("rkllm.init", [{"model_path": "/m", "num_predict": 9}], "max_new_tokens"),
        ("rkllm.init", [{"model_path": "/m", "temp": 0.5}], "the temperature is a field"),
    ],
)
def test_a_familiar_field_is_explained(method: str, params: object, word: str) -> None:
    """The explanation is the daemon's, so every client shows it."""
    with FakeDaemon(model="m").listening() as path, Client(path) as client:
        with pytest.raises(InvalidParams) as caught:
            client.call(method, params)  # type: ignore[arg-type]
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["rkllm.chat", "chat", "/v1/chat/completions", "rkllm.generate"])
def test_a_familiar_method_is_explained(name: str) -> None:
    """The hint does not depend on similar spelling."""
    expected = pytest.raises(MethodNotFound, match=r"rkllm\.run answers once")
    with FakeDaemon().listening() as path, Client(path) as client, expected:
        client.call(name)


@pytest.mark.parametrize(
    ("method", "name", "sentence"),
    [
        ("chat.complete", "max_tokens", "'max_tokens'; use max_new_tokens; there are: "),
        ("text.complete", "temperature", "'temperature'; use sampling; there are: "),
        ("tokens.encode", "temperature", "'temperature'; there are: "),
    ],
)
def test_a_familiar_parameter_leads_to_one_of_the_method(
    method: str, name: str, sentence: str
) -> None:
    """A method without the other parameter has no hint."""
    with FakeDaemon(model="m").listening() as path, Client(path) as client:
        with pytest.raises(InvalidParams) as caught:
            client.call(method, {name: 1})
        assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("hints", "exists"),
    [(FIELDS, find_methods()), (METHODS, find_methods()), (COMMANDS, cli.COMMANDS)],
    ids=["fields", "methods", "commands"],
)
def test_what_a_hint_names_exists(hints: Mapping[str, str], exists: Mapping[str, object]) -> None:
    """Methods have a dot, commands stand after ``rkllm``."""
    for name, hint in hints.items():
        assert name not in exists, f"{name} exists, so it needs no hint"
        called = re.findall(r"`rkllm ([a-z]\w*)", hint) or re.findall(
            r"\b((?:rkllm|server|models|chat|text|tokens|embeddings|rerank)\.[a-z_]+)", hint
        )
        assert set(called) <= set(exists), hint


def test_a_role_of_a_models_own_is_not_refused() -> None:
    """Only a role that resembles a known one is refused as a mistake."""
    with FakeDaemon(model="m").listening() as path, Client(path) as client:
        assert client.run({**ASKED, "role": "observation"}).text  # type: ignore[typeddict-item]


def test_a_hint_names_fields_that_exist() -> None:
    """Each hint leads to a name in rkllm.h."""
    fields = {
        member.name
        for release in releases().values()
        for struct in release.structs.values()
        for member in struct.members
    }
    for word in ("max_context_len", "max_new_tokens", "sampling_params", "prompt_input"):
        assert word in fields
