"""The runtime's quirks that programs need not know (docs/runtime.md): one test for each.

The scripted engine shows each quirk, on each layout of rkllm.h, to a real daemon with its default
isolation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S, Daemon, RawClient
from embedded_layouts import EMBEDDED_LAYOUTS

from rkllm_twisted.abi.release import releases
from rkllm_twisted.values import RunState

Script = Callable[[str], Path]
EVERY = EMBEDDED_LAYOUTS
WITH_TOOLS = ["1.2.1", "1.3.0"]
PROMPT = [{"prompt_input": "one two"}]
KEEP = {"mode": "RKLLM_INFER_GENERATE", "keep_history": 1}


@pytest.fixture(params=EVERY)
def abi(request: pytest.FixtureRequest) -> str:
    """Return each layout; a test may name the layouts that it needs."""
    return str(request.param)


@pytest.fixture
def daemon(start: Callable[..., Daemon], abi: str) -> Daemon:
    """Start a daemon on the layout's embedded runtime."""
    return start(f"--abi={abi}")


def played(daemon: Daemon, model: Path, params: Any = PROMPT) -> list[dict[str, Any]]:
    """Return the results of one streamed run."""
    daemon.load(model)
    with daemon.connect() as client:
        return [answer["result"] for answer in client.stream("rkllm.run_async", params)]


def states(results: list[dict[str, Any]]) -> list[tuple[str | None, int]]:
    """Return text and state of each result."""
    return [(result["text"], result["_callback_state"]) for result in results]


def await_log(daemon: Daemon, words: str) -> str:
    """Wait for a line of the daemon's log with these words."""
    deadline = time.monotonic() + MAX_WAIT_S
    while time.monotonic() < deadline:
        for line in daemon.log.read_text().splitlines():
            if words in line:
                return line
        time.sleep(0.01)
    pytest.fail(f"no {words!r} in the log:\n{daemon.log.read_text()}")


def test_no_finish_comes(daemon: Daemon, script: Script) -> None:
    """The end of the C call ends the stream."""
    model = script('run\ntoken "a"\nnofinish\n')
    assert states(played(daemon, model)) == [("a", RunState.NORMAL), (None, RunState.FINISH)]


@pytest.mark.parametrize("mode", ["RKLLM_INFER_GET_LAST_HIDDEN_LAYER", "RKLLM_INFER_GET_LOGITS"])
def test_hidden_states_and_logits_come_without_finish(
    daemon: Daemon, script: Script, abi: str, mode: str
) -> None:
    """The stream has them, and it ends."""
    if (
        mode.endswith("LOGITS")
        and "RKLLM_INFER_GET_LOGITS" not in releases()[abi].enums["RKLLMInferMode"]
    ):
        return  # release 1.1.4 has no such mode
    model = script(
        "embd 4\nvocab 4\nrun mode hidden\nhidden 2 4\nnofinish\nrun\nlogits 2 4\nnofinish\n"
    )
    first, last = played(daemon, model, [*PROMPT, {"mode": mode}])
    layer, field = (
        ("logits", "logits") if mode.endswith("LOGITS") else ("last_hidden_layer", "hidden_states")
    )
    assert len(first[layer][field]) == 2
    assert (last[layer][field], last["_callback_state"]) == (None, RunState.FINISH)


def test_text_may_be_null(daemon: Daemon, script: Script) -> None:
    """NULL becomes null in every state."""
    model = script('run\nnull\nwaiting\ntoken "a"\nfinish\n')
    results = states(played(daemon, model))
    assert results[0] == (None, RunState.NORMAL)
    assert (None, RunState.WAITING) in results
    assert results[-2] == ("a", RunState.NORMAL)
    assert results[-1][1] == RunState.FINISH


def test_init_succeeds_without_a_handle(daemon: Daemon, script: Script) -> None:
    """The call fails, no model is loaded, and the next init works."""
    with daemon.connect() as client:
        answer = client.ask("rkllm.init", [{"model_path": str(script("init null\n"))}])
        assert answer["error"]["code"] == -32000
        assert "no handle" in answer["error"]["message"]
        assert client.ask("rkllm.run", PROMPT)["error"]["code"] == -32001
    assert states(played(daemon, script('run\ntoken "a"\n')))[0] == ("a", RunState.NORMAL)


def test_callbacks_after_an_abort_reach_no_other_request(daemon: Daemon, script: Script) -> None:
    """The aborted run calls back during the next run, and the next run's client never sees it."""
    model = script(
        'run when "next"\nsleep 100\ntoken "mine"\nfinish\n'
        'run\nlate "stray" 20\ndelay 1\nrepeat 100000 token "x"\nfinish\n'
    )
    daemon.load(model)
    with daemon.connect() as first, daemon.connect() as second:
        first.ask("rkllm.run_async", PROMPT)
        assert second.ask("rkllm.abort")["result"]["success"]
        answers = second.stream("rkllm.run_async", [{"prompt_input": "next"}], 2)
        assert {answer["id"] for answer in answers} == {2}
        assert states([answer["result"] for answer in answers])[0] == ("mine", RunState.NORMAL)
        while first.line()["result"]["_callback_state"] != RunState.FINISH:
            pass
        assert first.ask("server.ping", None, "last")["id"] == "last"


def test_a_prompt_outlives_its_call(daemon: Daemon, script: Script) -> None:
    """A runtime that reads the prompt after the call still finds it in memory."""
    prompt = "x" * 1_000_000 + " the end"
    daemon.load(script("context 500000\nrun\nlate input 50\nfinish\n"))
    with daemon.connect() as client:
        assert client.ask("rkllm.run", [{"prompt_input": prompt}])["result"]["_callback_state"] == 2
        await_log(daemon, f"the input has {len(prompt)} bytes still and ends in  the end")
        assert client.ask("rkllm.is_running")["result"]["success"]  # and it is alive


@pytest.mark.parametrize("abi", WITH_TOOLS)
@pytest.mark.parametrize("template_first", [True, False])
def test_of_template_and_tools_the_last_call_wins(
    daemon: Daemon, script: Script, template_first: bool
) -> None:
    """The daemon passes both calls on, in either order."""
    facts = 'template user "<u>" "</u>"\ntemplate tool "<t>" "</t>"\ntemplate system "<s>" "</s>"\n'
    daemon.load(script(facts + "run\necho_rendered\n"))
    calls = [
        ("rkllm.set_chat_template", ["SYSTEM ", "BEFORE ", " AFTER"]),
        ("rkllm.set_function_tools", ["TOOLSYSTEM", [{"name": "look"}], "tool_response"]),
    ]
    with daemon.connect() as client:
        for method, params in calls if template_first else reversed(calls):
            assert client.ask(method, params)["result"]["success"]
        text = client.ask("rkllm.run", PROMPT)["result"]["text"]
    assert ("TOOLSYSTEM" in text, "BEFORE" in text) == (template_first, not template_first)


def test_is_running_says_true_for_running(daemon: Daemon, script: Script) -> None:
    """The answer is the same on every release, whatever its header says of the number."""
    daemon.load(script('run\ntoken "a"\nhang until abort\nfinish\n'))
    with daemon.connect() as runner, daemon.connect() as other:
        assert other.ask("rkllm.is_running")["result"]["is_running"] is False
        runner.ask("rkllm.run_async", PROMPT)
        assert other.ask("rkllm.is_running")["result"]["is_running"] is True
        other.ask("rkllm.abort")
        while runner.line()["result"]["_callback_state"] != RunState.FINISH:
            pass
        assert other.ask("rkllm.is_running")["result"]["is_running"] is False


@pytest.mark.parametrize("native", [False, True])
def test_run_async_is_rkllm_run_unless_told_otherwise(
    start: Callable[..., Daemon], abi: str, script: Script, native: bool
) -> None:
    """The daemon calls rkllm_run and reports its status, unless --native-async is given."""
    daemon = start(f"--abi={abi}", *(["--native-async"] if native else []))
    daemon.load(script('run\ntoken "a"\nreturn -1\nfinish\n'))
    with daemon.connect() as client:
        last = client.stream("rkllm.run_async", PROMPT)[-1]
    if native:
        assert last["result"]["_callback_state"] == RunState.FINISH
    else:
        assert last["error"]["data"] == {"function": "rkllm_run_async", "status_code": -1}


def test_a_second_init_never_meets_a_model_that_is_loaded(daemon: Daemon, script: Script) -> None:
    """C would block for ever, so the daemon destroys the first model before."""
    daemon.load(script('run\ntoken "old"\n'))
    assert states(played(daemon, script('run\ntoken "new"\n')))[0] == ("new", RunState.NORMAL)


def test_what_it_prints_is_no_protocol(daemon: Daemon, script: Script) -> None:
    """The runtime's stdout and stderr become lines of the daemon's log."""
    model = script(
        'run\nprint stdout "11:I rkllm: a\\n"\nprint stderr "E rkllm: b\\n"\ntoken "a"\n'
    )
    assert states(played(daemon, model))[0] == ("a", RunState.NORMAL)
    assert "runtime" in await_log(daemon, "I rkllm: a")
    assert "runtime" in await_log(daemon, "E rkllm: b")


def test_the_client_that_asked_is_the_one_that_is_answered(daemon: Daemon, script: Script) -> None:
    """Runs end in every way, one after the other; each answer has its own id."""
    daemon.load(script('run\nnofinish\nrun\nerror\nrun\ntoken "a"\nfinish\n'))
    client: RawClient
    with daemon.connect() as client:
        answers = [client.ask("rkllm.run", PROMPT, number) for number in range(3)]
    assert [answer["id"] for answer in answers] == [0, 1, 2]
