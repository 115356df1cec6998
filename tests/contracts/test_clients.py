"""The contract of both clients, against a real daemon on a good day. Bad days: test_bad_days.py."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from daemons import Daemon

from rkllm_twisted.client_core import methods
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import (
    Closed,
    InvalidParams,
    MethodNotFound,
    NoAnswer,
    NoModel,
    RuntimeRefused,
)
from rkllm_twisted.testing import Answer, FakeDaemon
from rkllm_twisted.values import FloatArray, RunState, RuntimeVersion

Start = Callable[..., Daemon]
Connect = Callable[..., Any]

#: Runs by the words of their prompt; all others echo it.
MODEL = """
embd 4
vocab 4
template system "<s>" "</s>"
template user "<u>" "</u>"
template tool "<t>" "</t>"
run when "for ever"
token "x"
hang until abort
run when "halfway"
token "so far"
error
run when "repeats"
token "Hel"
waiting "l"
token "lo"
state 2 "Hello"
nofinish
run mode logits
logits 2 4
nofinish
run mode hidden
hidden 2 4
nofinish
run
echo
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Start one daemon for all of these tests; each test loads the model again."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log.read_text()


@pytest.fixture
def model(script: Callable[[str], Path]) -> Path:
    """Return the model's file."""
    return script(MODEL)


async def texts(results: AsyncIterator[Any], into: list[str]) -> None:
    """Collect the text of each result of a stream, even if it fails."""
    async for result in results:
        into.append(result.text)  # noqa: PERF401 - what has come counts when the next one raises


@pytest_twisted.ensureDeferred
async def test_a_stream_gives_each_token_and_then_the_figures(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """The texts joined are the answer."""
    client = await connect(daemon.path)
    await client.init(model)
    *tokens, last = [result async for result in client.run_async("one two three")]
    assert [token.text for token in tokens] == ["one", " two", " three"]
    assert [token.token_id for token in tokens] == [0, 1, 2]
    assert {token.state for token in tokens} == {RunState.NORMAL}
    assert (last.text, last.state) == ("", RunState.FINISH)
    assert last.perf.generate_tokens == 3
    assert last.perf.generate_rate > 0
    assert last.raw["perf"]["generate_tokens"] == 3


@pytest_twisted.ensureDeferred
async def test_a_run_gives_the_whole_answer(daemon: Daemon, model: Path, connect: Connect) -> None:
    """The figures are included."""
    client = await connect(daemon.path)
    await client.init(model)
    result = await client.run("one two three")
    assert (result.text, result.state) == ("one two three", RunState.FINISH)
    assert result.perf.generate_tokens == 3


@pytest_twisted.ensureDeferred
async def test_several_calls_in_one_turn_give_the_results_of_each(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """They are those of the client's own methods; a call as in JSON-RPC gives what was sent."""
    client = await connect(daemon.path)
    await client.init(model)
    plain = {"method": "rkllm.get_kv_cache_size"}
    calls = [methods.clear_kv_cache(False), methods.run("one two"), plain]
    cleared, result, sizes = await client.sequence(calls)
    assert cleared is None
    assert (result.text, result.state) == ("one two", RunState.FINISH)
    assert sizes["success"] is True
    with pytest.raises(RuntimeRefused, match=r"calls\[1\] \(rkllm\.run\)") as caught:
        await client.sequence([methods.run("one"), methods.run("halfway")])
    assert caught.value.data["results"][0]["text"] == "one"


@pytest_twisted.ensureDeferred
async def test_an_input_may_be_an_rkllminput_and_infer_params_are_keywords(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """Both use the names of rkllm.h; other keywords are refused."""
    client = await connect(daemon.path)
    await client.init(model, max_context_len=64, top_k=1)
    asked = {"input_type": "RKLLM_INPUT_PROMPT", "role": "user", "prompt_input": "a b"}
    assert (await client.run(asked, keep_history=1)).text == "a b"
    assert await client.get_kv_cache_size() != [0]
    with pytest.raises(InvalidParams, match="keep_histroy"):
        await client.run("a b", keep_histroy=1)


@pytest_twisted.ensureDeferred
async def test_what_a_finish_repeats_is_not_said_twice(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """The text comes once; the raw final result repeats it."""
    client = await connect(daemon.path)
    await client.init(model)
    results = [result async for result in client.run_async("repeats")]
    assert "".join(result.text for result in results) == "Hello"
    assert "Hello" in [result.raw["text"] for result in results]


@pytest_twisted.ensureDeferred
async def test_a_run_that_fails_halfway_raises_after_what_had_come(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """An error in the loop must not look like an end."""
    client = await connect(daemon.path)
    await client.init(model)
    seen: list[str] = []
    with pytest.raises(RuntimeRefused, match="the runtime's log lines"):
        await texts(client.run_async("halfway"), seen)
    assert seen == ["so far"]
    with pytest.raises(RuntimeRefused):
        await client.run("halfway")


@pytest_twisted.ensureDeferred
async def test_leaving_the_loop_cancels_the_run_and_nothing_else(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """Otherwise the run would never end, and the next one would never start."""
    client = await connect(daemon.path)
    await client.init(model)
    async for result in client.run_async("for ever"):
        assert result.text == "x"
        break
    assert (await client.run("still here")).text == "still here"


@pytest_twisted.ensureDeferred
async def test_a_timeout_cancels_its_request_and_nothing_else(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """Calls and results of a stream both have timeouts; the error names the method and the time."""
    client = await connect(daemon.path)
    await client.init(model)
    with pytest.raises(NoAnswer, match=r"rkllm\.run within 0\.2 s"):
        await client.run("for ever", timeout=0.2)
    seen: list[str] = []
    with pytest.raises(NoAnswer, match="run_async"):
        await texts(client.run_async("for ever", timeout=0.2), seen)
    assert seen == ["x"]
    assert (await client.run("still here")).text == "still here"


@pytest_twisted.ensureDeferred
async def test_the_clients_own_timeout_counts_where_a_call_has_none(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """A timeout of the call overrides it."""
    client = await connect(daemon.path, timeout=0.2)
    await client.init(model, timeout=20)
    with pytest.raises(TimeoutError):
        await client.run("for ever")


@pytest_twisted.ensureDeferred
async def test_arrays_come_as_lists_or_as_bytes(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """The connection's setting decides; rows stay separate."""
    client = await connect(daemon.path)
    await client.init(model)
    rows = [
        [-1.0, -0.9921875, -0.984375, -0.9765625],
        [-0.96875, -0.9609375, -0.953125, -0.9453125],
    ]
    assert (await client.run("q", mode="RKLLM_INFER_GET_LOGITS")).logits == rows
    await client.configure(floats="base64")
    hidden = (await client.run("q", mode="RKLLM_INFER_GET_LAST_HIDDEN_LAYER")).hidden_states
    assert isinstance(hidden, FloatArray)
    assert hidden.shape == (2, 4)
    assert len(hidden.data) == 4 * 2 * 4


@pytest_twisted.ensureDeferred
async def test_an_array_of_floats_is_sent_as_bytes(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """An embedding of 4 MB reaches C, and the connection serves the next run."""
    client = await connect(daemon.path)
    await client.init(model)
    embed = {"embed": FloatArray(bytes(4 * 2**20), (2**18, 4)), "n_tokens": 2**18}
    asked = {"input_type": "RKLLM_INPUT_EMBED", "embed_input": embed}
    with pytest.raises(RuntimeRefused):  # longer than the model's context, as C says
        await client.run(asked)
    assert (await client.run("still here")).text == "still here"


@pytest_twisted.ensureDeferred
async def test_rows_of_a_batch_are_results(daemon: Daemon, model: Path, connect: Connect) -> None:
    """Each input gives one result."""
    client = await connect(daemon.path)
    await client.init(model, extend_param={"n_batch": 2})
    result = await client.run([{"prompt_input": "a b"}, {"prompt_input": "c d"}])
    assert [row.text for row in result.rows] == ["a b", "c d"]


@pytest_twisted.ensureDeferred
async def test_the_daemon_tells_about_itself(daemon: Daemon, model: Path, connect: Connect) -> None:
    """Each value has a name; values unknown to the client are in ``raw``."""
    client = await connect(daemon.path)
    assert await client.ping() is None
    await client.init(model)
    status = await client.status()
    assert (status.state, status.model_path) == ("loaded", str(model))
    assert (status.pid, status.clients) == (daemon.process.pid, 1)
    assert set(status.raw) >= {"uptime_s", "waiting"}
    limits = (status.max_context_len, status.max_new_tokens, list(status.lora_adapters))
    assert limits == tuple(
        status.raw[n] for n in ("max_context_len", "max_new_tokens", "lora_adapters")
    )
    version = await client.version()
    assert isinstance(version.runtime, RuntimeVersion)
    assert version.runtime.abi == "1.3.0"
    assert (await client.get_constants())["LLMCallState"]["RKLLM_RUN_FINISH"] == 2
    assert "top_k" in await client.create_default_param()


@pytest_twisted.ensureDeferred
async def test_everything_that_only_succeeds_gives_nothing(
    daemon: Daemon, model: Path, connect: Connect
) -> None:
    """A failure raises an exception."""
    client = await connect(daemon.path)
    await client.init(model)
    assert await client.set_chat_template("be brief", "<q>", "</q>") is None
    assert await client.set_function_tools("tools:", [{"name": "f"}], "result") is None
    assert await client.clear_kv_cache(keep_system_prompt=False) is None
    assert await client.is_running() is False
    assert await client.pause() is False
    with pytest.raises(RuntimeRefused):
        await client.abort()
    assert await client.destroy() is None
    assert (await client.status()).state == "empty"


@pytest_twisted.ensureDeferred
async def test_a_relative_path_is_the_clients(
    daemon: Daemon, model: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon has another working directory."""
    client = await connect(daemon.path)
    monkeypatch.chdir(model.parent)
    await client.init(model.name)
    assert (await client.status()).model_path == str(model)


@pytest_twisted.ensureDeferred
async def test_any_method_can_be_called(daemon: Daemon, model: Path, connect: Connect) -> None:
    """Parameters may be positional or named; a stream returns its final result."""
    client = await connect(daemon.path)
    assert await client.call("rkllm.init", [{"model_path": str(model)}])
    result = await client.call("rkllm.run", {"rkllm_input": {"prompt_input": "a b"}})
    assert result["text"] == "a b"
    last = await client.call("rkllm.run_async", [{"prompt_input": "a b"}])
    assert last["_callback_state"] == RunState.FINISH
    raw = [r async for r in client.stream("rkllm.run_async", [{"prompt_input": "a b"}])]
    assert [r["text"] for r in raw] == ["a", " b", ""]
    assert [r async for r in client.stream("server.ping")] == ["pong"]
    with pytest.raises(MethodNotFound, match=r"no\.such"):
        await client.call("no.such")


@pytest_twisted.ensureDeferred
async def test_parameters_without_a_json_form_are_refused_before_anything_is_sent(
    daemon: Daemon, connect: Connect
) -> None:
    """The connection is unaffected."""
    client = await connect(daemon.path)
    for params in ({"a": object()}, {"a": "\ud800"}, {"a": {1: {2}}}):
        with pytest.raises(InvalidParams, match="cannot be written as JSON"):
            await client.call("server.ping", params)
    await client.ping()


@pytest_twisted.ensureDeferred
async def test_a_closed_client_says_so(daemon: Daemon, connect: Connect) -> None:
    """Closing again does nothing; later calls fail at once."""
    client = await connect(daemon.path)
    await client.close()
    await client.close()
    with pytest.raises(Closed):
        await client.ping()
    with pytest.raises(Closed):
        await texts(client.run_async("a"), [])


@pytest_twisted.ensureDeferred
async def test_a_result_says_why_the_answer_has_ended(start: Start, connect: Connect) -> None:
    """The reason is the model, a limit of the run, model or context, or an abort."""
    client = await connect(start().path)
    question = "What is a list?"
    await client.init(demo_model(), max_new_tokens=5, top_k=1)
    assert (await client.run(question)).finish_reason == "length"
    await client.init(demo_model(), max_new_tokens=-1, max_context_len=64, top_k=1)
    assert (await client.run(question)).finish_reason == "stop"
    assert (await client.run(question, max_new_tokens=3)).finish_reason == "length"
    await client.init(demo_model(), max_new_tokens=-1, max_context_len=40, top_k=1)
    last = None
    async for last in client.run_async("What is a module?"):
        assert last.finish_reason in (None, "length")
    assert last is not None
    assert last.finish_reason == "length"


@pytest_twisted.ensureDeferred
async def test_an_answer_that_a_kept_history_cut_short_says_so(
    daemon: Daemon, connect: Connect
) -> None:
    """The figures of the run alone would fit: the history has filled the context."""
    client = await connect(daemon.path)
    await client.init(demo_model(), max_new_tokens=-1, max_context_len=64, top_k=1)
    reasons = []
    for keeps in (1, 1, 0):
        answer = await client.run("What is a list?", keep_history=keeps)
        reasons.append(answer.finish_reason)
        assert answer.perf.prefill_tokens + answer.perf.generate_tokens < 64
    assert reasons == ["stop", "length", "length"]
    await client.clear_kv_cache(False)
    assert (await client.run("What is a list?")).finish_reason == "stop"


@pytest_twisted.ensureDeferred
async def test_a_history_that_was_dropped_is_told_to_the_client(
    daemon: Daemon, connect: Connect
) -> None:
    """The typed results have the library's lines, and only those of their own run."""
    client = await connect(daemon.path)
    await client.init(demo_model(), max_new_tokens=20, max_context_len=64, top_k=1)
    answers = [await client.run("What is a list?", keep_history=1) for _ in range(3)]
    results = [result async for result in client.run_async("What is a list?", keep_history=1)]
    assert answers[0].lines == ()
    for answer in (answers[-1], results[-1]):
        assert "the context is full: dropped" in answer.lines[0]


@pytest_twisted.ensureDeferred
async def test_an_aborted_answer_says_so(connect: Connect) -> None:
    """Without the reason, the answer would look complete."""
    daemon = FakeDaemon(default=Answer("word ", endless=True), model="m")
    with daemon.listening() as path:
        client, other = await connect(path), await connect(path)
        last = None
        async for last in client.run_async("Hi"):
            if last.finish_reason is None:
                with contextlib.suppress(RuntimeRefused):
                    await other.abort()
        assert last is not None
        assert last.finish_reason == "cancelled"


@pytest_twisted.ensureDeferred
async def test_models_have_names_and_facts(connect: Connect, tmp_path: Path) -> None:
    """The typed results have every member that the daemon sends."""
    (tmp_path / "greeter.gguf").write_text("<!DOCTYPE html>")
    (tmp_path / "rkllm.toml").write_text("broken")
    with FakeDaemon(options=["--model-dir", str(tmp_path)]).listening() as path:
        client = await connect(path)
        listing = await client.list_models()
        shown = await client.show_model("greeter", digest=True)
        with pytest.raises(InvalidParams, match="There is no model 'other'"):
            await client.show_model("other")
    assert [(model.name, model.loaded) for model in listing.models] == [("greeter", False)]
    assert listing.raw["models"][0] == listing.models[0].raw
    assert "is a web page" in listing.models[0].problems[0]
    assert (shown.size, shown.path) == (15, str(tmp_path / "greeter.gguf"))
    assert shown.digest is not None
    for typed in (listing.models[0], shown):
        fields = {field.name for field in attrs.fields(type(typed))} - {"raw"}
        assert {name: getattr(typed, name) for name in fields} == typed.raw


@pytest_twisted.ensureDeferred
async def test_a_conversation_is_answered_whole_or_in_pieces(connect: Connect) -> None:
    """The last piece has the typed result, which keeps what the daemon has sent."""
    with FakeDaemon(default="Hello world", model="/m").listening() as path:
        client = await connect(path)
        whole = await client.chat("Hi", conversation="greetings")
        *pieces, last = [piece async for piece in client.chat_stream("Hi", stop="nothing")]
    assert (whole.text, whole.finish_reason, whole.tier) == ("Hello world", "stop", "runtime")
    assert "".join(piece.text for piece in pieces) == "Hello world"
    assert last.result == attrs.evolve(whole, usage=last.result.usage)
    fields = {field.name for field in attrs.fields(type(whole))} - {"raw", "usage"}
    assert {name: whole.raw[name] for name in fields} | {"usage": whole.raw["usage"]} == whole.raw
    assert attrs.asdict(whole.usage) == whole.raw["usage"]


@pytest_twisted.ensureDeferred
async def test_a_model_is_loaded_and_unloaded_by_its_name(connect: Connect, tmp_path: Path) -> None:
    """The typed results have every member that the daemon sends."""
    (tmp_path / "greeter.rkllm").write_bytes(bytes(range(256)))
    with FakeDaemon(options=["--model-dir", str(tmp_path)]).listening() as path:
        client = await connect(path)
        loaded = await client.load_model("greeter", top_k=1)
        status = await client.status()
        unloaded = await client.unload_model("greeter")
        with pytest.raises(NoModel):
            await client.unload_model()
    assert (loaded.model, loaded.param["top_k"], loaded.lora_adapters) == ("greeter", 1, [])
    assert (status.model, status.loads) == ("greeter", 1)
    assert (unloaded.model, unloaded.path) == ("greeter", str(tmp_path / "greeter.rkllm"))
