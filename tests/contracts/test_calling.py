"""Both clients accept parameters in every natural form."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from rkllm_twisted import blocking, client
from rkllm_twisted.client_core import (
    inference_methods,
    methods,
    model_methods,
    sequence_method,
    vision_methods,
)
from rkllm_twisted.errors import RPCError
from rkllm_twisted.testing import FakeDaemon

from .conftest import Connect

QUESTION = {"prompt_input": "Hi"}
LORA = {"lora_adapter_path": "/l", "lora_adapter_name": "n", "scale": 0.5}
LORA_WHOLE = {**LORA, "scale": 1.0}
TEMPLATE = {"system_prompt": "s", "prompt_prefix": "p", "prompt_postfix": "q"}
ENCODER = {"encoder_pos": [0], "num_tokens": 1}
SEQUENCE: dict[str, Any] = {
    "calls": [{"method": "rkllm.run", "params": {"rkllm_input": QUESTION}}],
    "stream": False,
}

#: Method of the client, positional and named arguments -> the params that are sent.
WAYS: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("init", ["/m"], {}, {"param": {"model_path": "/m"}}),
    ("init", [Path("/m")], {"top_k": 1}, {"param": {"model_path": "/m", "top_k": 1}}),
    ("init", [], {"model_path": "/m"}, {"param": {"model_path": "/m"}}),
    ("init", [{"model_path": "/m", "top_k": 1}], {}, {"param": {"model_path": "/m", "top_k": 1}}),
    ("init", [], {"param": {"model_path": "/m"}}, {"param": {"model_path": "/m"}}),
    ("init", ["/m"], {"param": {"top_k": 1}}, {"param": {"model_path": "/m", "top_k": 1}}),
    ("init", ["/m"], {"top_k": None}, {"param": {"model_path": "/m"}}),
    ("run", ["Hi"], {}, {"rkllm_input": QUESTION}),
    ("run", [], {"rkllm_input": "Hi"}, {"rkllm_input": QUESTION}),
    ("run", [QUESTION], {}, {"rkllm_input": QUESTION}),
    ("run", ["Hi"], {"keep_history": True}, {"keep_history": 1}),
    ("run", ["Hi"], {"keep_history": False}, {"keep_history": 0}),
    ("run", ["Hi", {"keep_history": 1}], {}, {"keep_history": 1}),
    ("run", ["Hi"], {"rkllm_infer_params": {"keep_history": 1}}, {"keep_history": 1}),
    ("run", ["Hi"], {"sampling_params": {"top_k": 1}}, {"sampling_params": {"top_k": 1}}),
    ("load_lora", ["/l", "n", 0.5], {}, {"lora_adapter": LORA}),
    ("load_lora", [], LORA, {"lora_adapter": LORA}),
    ("load_lora", [LORA], {}, {"lora_adapter": LORA}),
    ("load_lora", [], {"lora_adapter": LORA}, {"lora_adapter": LORA}),
    ("load_lora", ["/l", "n"], {}, {"lora_adapter": LORA_WHOLE}),
    ("load_prompt_cache", ["/c"], {}, {"prompt_cache_path": "/c"}),
    ("load_prompt_cache", [], {"prompt_cache_path": Path("/c")}, {"prompt_cache_path": "/c"}),
    ("release_prompt_cache", [], {}, None),
    ("clear_kv_cache", [], {}, {"keep_system_prompt": 1}),
    ("clear_kv_cache", [False], {}, {"keep_system_prompt": 0}),
    ("clear_kv_cache", [], {"keep_system_prompt": 0}, {"keep_system_prompt": 0}),
    ("get_kv_cache_size", [], {}, None),
    ("set_chat_template", ["s", "p", "q"], {}, TEMPLATE),
    ("set_chat_template", [], TEMPLATE, TEMPLATE),
    ("set_function_tools", ["s", "[]", "t"], {}, "tools"),
    ("set_function_tools", [], {"system_prompt": "s", "tools": [], "tool_response_str": "t"}, None),
    ("set_cross_attn_params", [ENCODER], {}, {"cross_attn_params": ENCODER}),
    ("set_cross_attn_params", [], ENCODER, {"cross_attn_params": ENCODER}),
    (
        "set_cross_attn_params",
        [],
        {"cross_attn_params": ENCODER},
        {"cross_attn_params": ENCODER},
    ),
    ("abort", [], {}, None),
    ("pause", [], {}, None),
    ("is_running", [], {}, None),
    ("destroy", [], {}, None),
    ("create_default_param", [], {}, None),
    ("get_constants", [], {}, None),
    ("sequence", [[methods.run("Hi")]], {}, SEQUENCE),
    ("sequence", [[SEQUENCE["calls"][0]]], {}, SEQUENCE),
    ("list_models", [], {}, None),
    ("show_model", ["m"], {}, {"model": "m", "digest": False}),
    ("show_model", ["m", True], {}, {"model": "m", "digest": True}),
    ("show_model", [], {"model": "m", "digest": True}, {"model": "m", "digest": True}),
    ("load_model", ["m"], {}, {"model": "m", "param": None}),
    ("load_model", ["m"], {"top_k": 1}, {"model": "m", "param": {"top_k": 1}}),
    (
        "load_model",
        [],
        {"model": "m", "param": {"top_k": 1}, "max_context_len": 512},
        {"model": "m", "param": {"top_k": 1, "max_context_len": 512}},
    ),
    ("unload_model", [], {}, {"model": None}),
    ("unload_model", ["m"], {}, {"model": "m"}),
    ("render_chat", ["Hi"], {}, {"messages": [{"role": "user", "content": "Hi"}]}),
    ("complete_text", ["Hi"], {"stop": "x"}, {"prompt": "Hi", "stop": "x"}),
    ("create_embeddings", ["Hi"], {"dimensions": 2}, {"input": "Hi", "dimensions": 2}),
    ("score_documents", ["Hi", ("a",)], {}, {"query": "Hi", "documents": ["a"]}),
    ("encode_tokens", ["Hi"], {}, {"text": "Hi", "marks": False}),
    ("decode_tokens", [(1, 2)], {}, {"tokens": [1, 2]}),
    ("count_tokens", ["Hi", "m"], {}, {"text": "Hi", "model": "m"}),
    ("chat", ["Hi"], {}, {"messages": [{"role": "user", "content": "Hi"}]}),
    (
        "chat",
        [[{"role": "user", "content": "Hi"}]],
        {"stop": "x", "model": None},
        {"messages": [{"role": "user", "content": "Hi"}], "stop": "x"},
    ),
    ("structured_text", ["Hi"], {"regex": "a+"}, {"prompt": "Hi", "regex": "a+"}),
    ("load_encoder", ["/e.rknn"], {"cores": "all"}, {"path": "/e.rknn", "cores": "all"}),
    ("encode_image", [b"\0"], {}, {"image": {"base64": "AA=="}}),
    ("encode_image", ["/a.png"], {}, {"image": {"path": "/a.png"}}),
    ("unload_encoder", [], {}, None),
    ("status", [], {}, None),
    ("version", [], {}, None),
    ("ping", [], {}, None),
    ("configure", ["json"], {}, {"floats": "json"}),
    ("configure", [], {"floats": "json"}, {"floats": "json"}),
]


@pytest.fixture(scope="module")
def daemon() -> Iterator[tuple[FakeDaemon, str]]:
    """Start a daemon that records its requests; return it and its path."""
    fake = FakeDaemon(model="mine.rkllm")
    with fake.listening() as path:
        yield fake, path


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
@pytest_twisted.ensureDeferred
async def test_a_method_is_called_in_a_natural_way(
    daemon: tuple[FakeDaemon, str], connect: Connect, way: tuple[str, list[Any], Any, Any]
) -> None:
    """All forms of a call send the same parameters."""
    fake, path = daemon
    name, args, kwargs, expected = way
    talker = await connect(path)
    fake.calls.clear()
    with contextlib.suppress(RPCError):  # the answer does not matter here
        await getattr(talker, name)(*args, **kwargs)
    sent = next((call.params for call in fake.calls if call.method != "server.configure"), None)
    if name == "configure":
        sent = fake.calls[-1].params
    if name == "run" and "rkllm_input" not in (expected or {}):
        expected = {"rkllm_input": QUESTION, "rkllm_infer_params": expected}
    if name == "set_function_tools":
        assert sent["system_prompt"] == "s"  # type: ignore[index, call-overload]
    else:
        assert sent == expected


def test_every_method_is_tried() -> None:
    """Every method of the clients is in the table above, or has a test of its own."""
    functions = {
        name
        for table in (methods, model_methods, inference_methods, sequence_method, vision_methods)
        for name, function in inspect.getmembers(table, inspect.isfunction)
        if function.__module__ == table.__name__ and not name.startswith("_")
    }
    assert {way[0] for way in WAYS} | {"run_async", "chat_stream"} == functions


@pytest_twisted.ensureDeferred
async def test_a_loop_takes_the_same_parameters(
    daemon: tuple[FakeDaemon, str], connect: Connect
) -> None:
    """``run_async`` accepts the same parameters as ``run``."""
    fake, path = daemon
    talker = await connect(path)
    await talker.init("/m")
    fake.calls.clear()
    async for _ in talker.run_async(rkllm_input="Hi", keep_history=True):
        pass
    assert fake.calls[-1].params == {
        "rkllm_input": QUESTION,
        "rkllm_infer_params": {"keep_history": 1},
    }


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "what"),
    [
        ("init", [], {}, "needs the path of a model"),
        ("load_lora", ["/l"], {}, "needs lora_adapter_name"),
        ("run", ["Hi"], {"timeout": "5"}, "timeout is a number of seconds"),
        ("call", ["server.ping"], {"timeout": "5"}, "timeout is a number of seconds"),
        ("callRemote", ["server.ping", 1], {"a": 1}, "by position or by name, not both"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_wrong_call_says_what_is_wrong(
    daemon: tuple[FakeDaemon, str],
    connect: Connect,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
    what: str,
) -> None:
    """The TypeError is immediate."""
    talker = await connect(daemon[1])
    with pytest.raises(TypeError, match=what):
        await getattr(talker, name)(*args, **kwargs)


@pytest_twisted.ensureDeferred
async def test_call_remote_is_there_in_both(
    daemon: tuple[FakeDaemon, str], connect: Connect
) -> None:
    """Parameters may be positional, named or absent."""
    talker = await connect(daemon[1])
    assert await talker.callRemote("server.ping") == "pong"
    await talker.init("/m")
    await talker.callRemote("rkllm.clear_kv_cache", 1)
    await talker.callRemote("rkllm.clear_kv_cache", keep_system_prompt=1)


@pytest_twisted.ensureDeferred
async def test_a_repr_says_where_and_how(daemon: tuple[FakeDaemon, str], connect: Connect) -> None:
    """The repr is for debuggers and logs."""
    talker = await connect(daemon[1])
    assert f"Client of {daemon[1]}, connected" in repr(talker._client)


@pytest.mark.parametrize("form", [Path, str, "unix:{}".format, lambda path: Path(path).name])
@pytest_twisted.ensureDeferred
async def test_an_address_has_every_natural_form(
    daemon: tuple[FakeDaemon, str], monkeypatch: pytest.MonkeyPatch, form: Callable[[str], Any]
) -> None:
    """A path, its text, an endpoint's description, and a name in the working directory."""
    monkeypatch.chdir(Path(daemon[1]).parent)
    async with await client.connect(reactor, form(daemon[1])) as talker:
        assert await talker.callRemote("server.ping") == "pong"
    with blocking.Client(form(daemon[1])) as blocked:
        await deferToThread(blocked.ping)
