"""A runtime on the embedded library: real threads, real callbacks, one script for each case."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S
from embedded_layouts import EMBEDDED_LAYOUTS

from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.runtime.runtime import Runtime, open_runtime
from rkllm_twisted.values import FloatArray, RunState

INPUT = [{"prompt_input": "hi"}]


@pytest.fixture(params=EMBEDDED_LAYOUTS)
def embedded(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """A runtime on the embedded library of each layout."""
    runtime = open_runtime("cpu", request.param, {})
    yield runtime
    runtime.close()


@pytest.fixture
def load(embedded: Runtime, tmp_path: Path) -> Callable[[str], Runtime]:
    """A function that loads a scripted model."""

    def load(script: str) -> Runtime:
        model = tmp_path / "model.script"
        model.write_text(f"#!rkllm-script 1\n{script}\n")
        embedded.perform(embedded.prepare("rkllm_init", [{"model_path": str(model)}]))
        return embedded

    return load


def run(runtime: Runtime, *infer: Any) -> list[dict[str, Any]]:
    """Run, and give the results."""
    seen: list[dict[str, Any]] = []
    runtime.perform(runtime.prepare("rkllm_run", [*INPUT, *infer]), seen.extend)
    return seen


def test_what_it_says_of_itself(embedded: Runtime) -> None:
    """The embedded library reports its release and that it is the embedded one."""
    assert embedded.version.version == embedded.version.abi
    assert embedded.version.backend.startswith("cpu")


def test_a_run(load: Callable[[str], Runtime]) -> None:
    """The run gives its tokens and a FINISH."""
    seen = run(load('run\ntoken "Hel" 7\ntoken "lo"\nfinish'))
    texts = [(result["text"], result["_callback_state"]) for result in seen]
    assert texts[:2] == [("Hel", RunState.NORMAL), ("lo", RunState.NORMAL)]
    assert texts[-1][1] == RunState.FINISH
    assert seen[0]["token_id"] == 7


def test_a_character_in_two_tokens(load: Callable[[str], Runtime]) -> None:
    """The runtime waits for the rest of it; no text is lost or doubled."""
    seen = run(load('run\ntoken "a\\xe2\\x82"\ntoken "\\xac!"\nfinish'))
    texts = [result["text"] for result in seen if result["_callback_state"] == RunState.NORMAL]
    assert "".join(text or "" for text in texts) == "a€!"


def test_an_init_that_fails(load: Callable[[str], Runtime]) -> None:
    """Its status is an error, and nothing is loaded."""
    with pytest.raises(RuntimeRefused, match="rkllm_init returned -1"):
        load("init fail")


def test_an_init_that_gives_no_handle(load: Callable[[str], Runtime]) -> None:
    """Status 0 with a NULL handle is refused."""
    with pytest.raises(RuntimeRefused, match="no handle"):
        load("init null")


def test_abort_from_another_thread(load: Callable[[str], Runtime]) -> None:
    """A run is aborted while this thread is in C; is_running says so meanwhile."""
    runtime = load('run\ndelay 1\nrepeat 1000000 token "x"\nfinish')
    begun = threading.Event()
    ended: list[Any] = []

    def work() -> None:
        try:
            prepared = runtime.prepare("rkllm_run", INPUT)
            ended.append(runtime.perform(prepared, lambda _: begun.set()))
        except RPCError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(MAX_WAIT_S)
    assert runtime.is_running()
    runtime.abort()
    thread.join(MAX_WAIT_S)
    assert len(ended) == 1
    assert not runtime.is_running()


def test_a_failing_listener_ends_an_endless_run(load: Callable[[str], Runtime]) -> None:
    """The run is aborted for it, and the next one is not."""
    runtime = load('run\ndelay 1\nrepeat 1000000 token "x"\nfinish')

    def fail(_: object) -> None:
        raise ValueError("a mistake in a listener")

    for _ in range(2):
        with pytest.raises(ValueError, match="a mistake"):
            runtime.perform(runtime.prepare("rkllm_run", INPUT), fail)


def test_a_late_callback(load: Callable[[str], Runtime]) -> None:
    """A result that comes after the end of its run is dropped."""
    runtime = load('run when "next"\nsleep 100\ntoken "y"\nfinish\nrun\nlate "late" 20\nfinish')
    seen = run(runtime)
    count = len(seen)
    # The run before calls back during this one.
    during: list[dict[str, Any]] = []
    runtime.perform(runtime.prepare("rkllm_run", [{"prompt_input": "next"}]), during.extend)
    assert len(seen) == count
    assert [result["text"] for result in during if result["text"]] == ["y"]


def test_hidden_states(load: Callable[[str], Runtime]) -> None:
    """They come as floats with rows and columns."""
    seen = run(load("embd 4\nrun\nhidden 3 4\nnofinish"), {"mode": 1})
    arrays = [result["last_hidden_layer"]["hidden_states"] for result in seen]
    (array,) = [array for array in arrays if array is not None]
    assert isinstance(array, FloatArray)
    assert (array.shape, len(array.data)) == ((3, 4), 48)


def test_no_text_and_no_finish(load: Callable[[str], Runtime]) -> None:
    """NULL is null, and the end of the call is the end of the run."""
    seen = run(load("run\nnull\nnofinish"))
    assert [result["text"] for result in seen] == [None]


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_several_answers_at_once(abi: str, tmp_path: Path) -> None:
    """n_batch rows come in each result."""
    model = tmp_path / "model.script"
    model.write_text('#!rkllm-script 1\nrun\nbatch "a" "b"\nbatch "c" -\nfinish\n')
    runtime = open_runtime("cpu", abi, {})
    param = {"model_path": str(model), "extend_param": {"n_batch": 2}}
    runtime.perform(runtime.prepare("rkllm_init", [param]))
    rows = [result["results"] for result in run(runtime) if "results" in result]
    assert [(first["text"], second["text"] or "") for first, second in rows] == [
        ("a", "b"),
        ("c", ""),
    ]
    assert rows[1][1]["token_id"] < 0
    sizes = runtime.perform(runtime.prepare("rkllm_get_kv_cache_size", None))["cache_sizes"]
    assert isinstance(sizes, list)
    assert len(sizes) == 2
    runtime.close()


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_native_async(abi: str, tmp_path: Path) -> None:
    """C's own rkllm_run_async calls back from a thread of its own; the call waits for the end."""
    model = tmp_path / "model.script"
    model.write_text('#!rkllm-script 1\nrun\ndelay 5\ntoken "a"\ntoken "b"\nfinish\n')
    runtime = open_runtime("cpu", abi, {}, native_async=True)
    runtime.perform(runtime.prepare("rkllm_init", [{"model_path": str(model)}]))
    threads: set[int] = set()
    runtime.perform(
        runtime.prepare("rkllm_run_async", INPUT), lambda _: threads.add(threading.get_ident())
    )
    assert threads
    assert threading.get_ident() not in threads
    runtime.close()
