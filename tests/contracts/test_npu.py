"""The contract of every NPU, over every provider: a fake runtime, and the real one on each layout.

All of them run in a real NPU thread. The prompt decides how a run behaves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.threads import blockingCallFromThread
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import (
    InvalidParams,
    NoModel,
    NotInRelease,
    RPCError,
    ShuttingDown,
)
from rkllm_twisted.interfaces import INPU, IRuntime
from rkllm_twisted.isolation.config import ChildConfig
from rkllm_twisted.isolation.process_runtime import ProcessRuntime
from rkllm_twisted.isolation.supervisor import Supervisor
from rkllm_twisted.npu.pool import NPUThreadPool, thread_npu
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.runtime.probe import probe
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.testing import Answer, End, FakeRuntime

SCRIPT = """#!rkllm-script 1
run when "endless"
delay 1
repeat 1000000 token "x"
finish
run when "fails"
token "so far"
error
run when "silent"
token "no end"
nofinish
run
token "Hello"
token " world"
finish
"""
FAKES = {
    "endless": Answer(("x",), endless=True),
    "fails": Answer(("so far",), then=End.ERROR),
    "silent": Answer(("no end",), then=End.SILENT),
}
ABIS = ["1.1.4", "1.2.0", "1.2.1", "1.3.0"]
#: The programs of the runtime's process.
HOSTS = ["c", "python"]


def fake_runtime() -> IRuntime:
    """Make a fake runtime in memory."""
    return FakeRuntime(FAKES)


def embedded(abi: str) -> Callable[[], IRuntime]:
    """Load the embedded library of one layout."""
    return lambda: open_runtime("cpu", abi, {})


def in_a_process(abi: str, host: str) -> Callable[[], tuple[IRuntime, Supervisor]]:
    """Load the embedded library of one layout in a child process."""

    def make() -> tuple[IRuntime, Supervisor]:
        findings = probe("cpu", abi, os.environ)
        supervisor = Supervisor(reactor, ChildConfig(findings.version.library, abi, host=host))
        supervisor.startService()
        in_reactor = partial(blockingCallFromThread, reactor)
        return ProcessRuntime(findings, supervisor, in_reactor), supervisor

    return make


PROVIDERS: dict[str, Callable[[], Any]] = {
    "fake": fake_runtime,
    **{abi: embedded(abi) for abi in ABIS},
    **{f"process-{abi}-{host}": in_a_process(abi, host) for abi in ABIS for host in HOSTS},
}


class Stream(list[str]):
    """The texts of a run, and a Deferred that fires at the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: Deferred[None] = Deferred()

    def take(self, result: Any) -> None:
        """Receive one partial result."""
        self.append(result["text"])
        if not self.begun.called:
            self.begun.callback(None)


class Rig:
    """An NPU under test."""

    def __init__(self, npu: ThreadNPU, model: Path) -> None:
        self.npu = npu
        self.model = str(model)

    def init(self) -> Deferred[Any]:
        """Load the model."""
        return self.npu.call("rkllm_init", {"param": {"model_path": self.model}})

    def run(self, prompt: str, client: object = None) -> tuple[Deferred[Any], Stream]:
        """Queue a run."""
        stream = Stream()
        params = {"rkllm_input": {"prompt_input": prompt}}
        return self.npu.run("rkllm_run", params, stream.take, client), stream


@pytest.fixture(params=PROVIDERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Make an NPU of each kind, and close it at the end."""
    model = tmp_path / "contract.script"
    model.write_text(SCRIPT)
    pool = NPUThreadPool()
    pool.start()
    runtime = PROVIDERS[request.param]()
    runtime, supervisor = runtime if isinstance(runtime, tuple) else (runtime, None)
    npu = thread_npu(reactor, pool, runtime)
    yield Rig(npu, model)
    pytest_twisted.blockon(npu.close())
    pool.stop()
    if supervisor is not None:
        pytest_twisted.blockon(supervisor.stopService())


async def failure_of(deferred: Deferred[Any]) -> Exception:
    """Return the exception that a Deferred fails with."""
    try:
        result = await deferred
    except (RPCError, CancelledError) as error:
        return error
    pytest.fail(f"it did not fail: {result!r}")


def test_it_provides_the_interface(rig: Rig) -> None:
    """zope.interface verifies INPU."""
    assert verifyObject(INPU, rig.npu)


@pytest_twisted.ensureDeferred
async def test_a_run_streams_and_ends_with_finish(rig: Rig) -> None:
    """Texts come in order; the Deferred fires with the finishing result."""
    await rig.init()
    done, stream = rig.run("hello")
    final = await done
    assert final["_callback_state"] == 2
    assert stream == ["Hello", " world"]
    assert rig.npu.status().runs == 1


@pytest_twisted.ensureDeferred
async def test_an_outcome_has_success_and_status(rig: Rig) -> None:
    """All functions that return a status have one."""
    assert await rig.init() == {"success": True, "status_code": 0}
    assert rig.npu.status().state == "loaded"
    assert rig.npu.status().model_path == rig.model
    assert await rig.npu.call("rkllm_destroy", []) == {"success": True, "status_code": 0}
    assert rig.npu.status().state == "empty"


@pytest_twisted.ensureDeferred
async def test_what_needs_a_model_says_so(rig: Rig) -> None:
    """The error comes before init and after destroy."""
    for _ in range(2):
        assert isinstance(await failure_of(rig.run("hello")[0]), NoModel)
        assert isinstance(await failure_of(rig.npu.call("rkllm_destroy", None)), NoModel)
        assert isinstance(await failure_of(rig.npu.abort()), NoModel)
        assert isinstance(await failure_of(rig.npu.is_running()), NoModel)
        await rig.init()
        await rig.npu.call("rkllm_destroy", None)


@pytest_twisted.ensureDeferred
async def test_abort_ends_the_run_with_a_final_result(rig: Rig) -> None:
    """is_running is correct before and after."""
    await rig.init()
    done, stream = rig.run("endless")
    await stream.begun
    assert (await rig.npu.is_running())["is_running"] is True
    assert rig.npu.status().state == "running"
    assert (await rig.npu.abort())["success"] is True
    assert (await done)["_callback_state"] == 2
    assert (await rig.npu.is_running())["is_running"] is False


@pytest_twisted.ensureDeferred
async def test_a_cancelled_run_frees_the_npu_for_the_next(rig: Rig) -> None:
    """The caller is answered at once, its stream stops, and the next run is complete."""
    await rig.init()
    done, stream = rig.run("endless", "a")
    after, next_stream = rig.run("hello", "b")
    await stream.begun
    done.cancel()
    length = len(stream)
    assert isinstance(await failure_of(done), CancelledError)
    assert (await after)["_callback_state"] == 2
    assert next_stream == ["Hello", " world"]
    assert len(stream) == length


@pytest_twisted.ensureDeferred
async def test_cancelling_a_queued_run_leaves_the_running_one_alone(rig: Rig) -> None:
    """Cancelling one run never stops another."""
    await rig.init()
    running, stream = rig.run("endless", "a")
    queued, _ = rig.run("hello", "b")
    await stream.begun
    queued.cancel()
    assert isinstance(await failure_of(queued), CancelledError)
    assert (await rig.npu.is_running())["is_running"] is True
    running.cancel()
    await failure_of(running)


@pytest_twisted.ensureDeferred
async def test_a_paused_run_ends_without_finish(rig: Rig) -> None:
    """The callback returned 1; where callbacks return nothing, the error says so."""
    assert isinstance(await failure_of(rig.npu.pause()), (NoModel, NotInRelease))
    await rig.init()
    done, stream = rig.run("endless")
    await stream.begun
    if rig.npu.version().abi in ("1.1.4", "1.2.0"):
        assert "1.2.1" in str(await failure_of(rig.npu.pause()))
        done.cancel()
        await failure_of(done)
        return
    paused = await rig.npu.pause()
    assert paused == {"success": True, "status_code": 0, "paused": True}
    assert (await done)["_callback_state"] == 2
    assert (await rig.npu.pause())["paused"] is False


@pytest_twisted.ensureDeferred
async def test_a_run_that_fails_ends_with_state_3(rig: Rig) -> None:
    """Earlier text was streamed."""
    await rig.init()
    done, stream = rig.run("fails")
    assert (await done)["_callback_state"] == 3
    assert stream == ["so far"]
    done, stream = rig.run("hello")
    await done
    assert stream == ["Hello", " world"]


@pytest_twisted.ensureDeferred
async def test_a_run_without_finish_still_ends(rig: Rig) -> None:
    """The return of the C function ends the run."""
    await rig.init()
    done, stream = rig.run("silent")
    final = await done
    assert (final["_callback_state"], final["text"]) == (2, None)
    assert stream == ["no end"]


@pytest_twisted.ensureDeferred
async def test_init_with_a_model_loaded_destroys_that_one_first(rig: Rig) -> None:
    """The second init succeeds, and its model serves."""
    await rig.init()
    await rig.init()
    done, stream = rig.run("hello")
    await done
    assert stream == ["Hello", " world"]


@pytest_twisted.ensureDeferred
async def test_wrong_parameters_are_named_and_change_nothing(rig: Rig) -> None:
    """No turn is used, and no state changes."""
    await rig.init()
    error = await failure_of(rig.npu.call("rkllm_init", {"colour": 1}))
    assert isinstance(error, InvalidParams)
    assert "colour" in str(error)
    assert rig.npu.status().state == "loaded"


@pytest_twisted.ensureDeferred
async def test_runs_end_in_the_order_of_their_turns(rig: Rig) -> None:
    """One run at a time; clients take turns."""
    await rig.init()
    order: list[str] = []
    runs = []
    for name in ("a", "a", "a", "b"):
        done, _ = rig.run("hello", name)
        runs.append(done.addCallback(lambda _, name=name: order.append(name)))
    await DeferredList(runs)
    assert order == ["a", "a", "b", "a"]


@pytest_twisted.ensureDeferred
async def test_close_while_running_answers_and_destroys(rig: Rig) -> None:
    """The running call and the queued one get ShuttingDown."""
    await rig.init()
    done, stream = rig.run("endless")
    queued, _ = rig.run("hello")
    await stream.begun
    closed = rig.npu.close()
    assert isinstance(await failure_of(done), ShuttingDown)
    assert isinstance(await failure_of(queued), ShuttingDown)
    await closed
    assert rig.npu.status().state == "closed"
    assert isinstance(await failure_of(rig.init()), ShuttingDown)


@pytest_twisted.ensureDeferred
async def test_draining_lets_the_run_under_way_end_and_nothing_else_begin(rig: Rig) -> None:
    """Queued and new runs get ShuttingDown; the current stream continues to its end."""
    await rig.init()
    done, stream = rig.run("endless")
    queued, _ = rig.run("hello")
    await stream.begun
    drained = rig.npu.drain()
    assert isinstance(await failure_of(queued), ShuttingDown)
    assert isinstance(await failure_of(rig.run("hello")[0]), ShuttingDown)
    assert not drained.called
    await rig.npu.abort()
    assert (await done)["_callback_state"] == 2
    await drained
    await rig.npu.drain()


def texts_of(turn: Any, prompt: str) -> list[str]:
    """Make a run in a turn; its texts."""
    texts: list[str] = []
    prepared = turn.prepare("rkllm_run", {"rkllm_input": {"prompt_input": prompt}})
    final = turn.perform(prepared, lambda result: texts.append(result["text"]))
    assert final["_callback_state"] in (2, 3)
    return texts


@pytest_twisted.ensureDeferred
async def test_a_turn_may_be_several_calls(rig: Rig) -> None:
    """What the procedure returns is the result; what it delivers comes in order."""
    delivered: list[object] = []

    def procedure(turn: Any) -> object:
        assert not turn.loaded
        param = {"param": {"model_path": rig.model}}
        outputs = turn.perform(turn.prepare("rkllm_init", param))
        for number in range(3):
            turn.deliver(delivered.append, number)
        return outputs, turn.loaded, texts_of(turn, "hello"), texts_of(turn, "fails")

    outputs, loaded, *texts = await rig.npu.perform(procedure, "a")
    assert outputs == {"success": True, "status_code": 0}
    assert loaded
    assert texts == [["Hello", " world"], ["so far"]]
    assert delivered == [0, 1, 2]
    status = rig.npu.status()
    assert (status.state, status.runs, status.tokens) == ("loaded", 2, 3)


@pytest_twisted.ensureDeferred
async def test_no_call_comes_between_the_calls_of_a_turn(rig: Rig) -> None:
    """A run that was queued meanwhile begins after the last of them."""
    await rig.init()
    order: list[str] = []

    def procedure(turn: Any) -> None:
        for _ in range(3):
            texts_of(turn, "hello")
            turn.deliver(order.append, "of the turn")

    turn = rig.npu.perform(procedure, "a")
    other, _ = rig.run("hello", "b")
    other.addCallback(lambda _: order.append("other"))
    await turn
    await other
    assert order == ["of the turn"] * 3 + ["other"]


@pytest_twisted.ensureDeferred
async def test_a_cancelled_turn_begins_no_other_call(rig: Rig) -> None:
    """Its run is aborted, CancelledError is raised at the next call, and the next turn is whole."""
    await rig.init()
    begun: Deferred[None] = Deferred()
    raised: list[BaseException] = []

    def first_of(_: Any, turn: Any) -> None:
        if not raised:
            raised.append(AssertionError("no further call was refused"))
            turn.deliver(begun.callback, None)

    def procedure(turn: Any) -> None:
        params = {"rkllm_input": {"prompt_input": "endless"}}
        prepared = turn.prepare("rkllm_run", params)
        turn.perform(prepared, lambda result: first_of(result, turn))
        try:
            texts_of(turn, "hello")
        except CancelledError as error:
            raised[0] = error
            raise

    turn = rig.npu.perform(procedure, "a")
    after, stream = rig.run("hello", "b")
    await begun
    assert rig.npu.status().state == "running"
    turn.cancel()
    assert isinstance(await failure_of(turn), CancelledError)
    await after
    assert isinstance(raised[0], CancelledError)
    assert stream == ["Hello", " world"]
    assert rig.npu.status().runs == 2


@pytest_twisted.ensureDeferred
async def test_a_turn_that_is_cancelled_in_the_queue_never_begins(rig: Rig) -> None:
    """Its procedure is not called."""
    await rig.init()
    running, stream = rig.run("endless", "a")
    called: list[object] = []
    queued = rig.npu.perform(called.append, "b")
    await stream.begun
    queued.cancel()
    assert isinstance(await failure_of(queued), CancelledError)
    running.cancel()
    await failure_of(running)
    done, _ = rig.run("hello", "a")
    await done
    assert called == []


@pytest_twisted.ensureDeferred
async def test_an_error_in_a_turn_is_its_outcome(rig: Rig) -> None:
    """Of a call or of the procedure itself; the NPU is free for the next."""
    assert isinstance(await failure_of(rig.npu.perform(lambda t: texts_of(t, "hello"))), NoModel)
    with pytest.raises(ZeroDivisionError):
        await rig.npu.perform(lambda _: 1 // 0)
    wrong = rig.npu.perform(lambda turn: turn.prepare("rkllm_init", {"colour": 1}))
    assert isinstance(await failure_of(wrong), InvalidParams)
    assert await rig.init() == {"success": True, "status_code": 0}


@pytest_twisted.ensureDeferred
async def test_close_during_a_turn_answers_and_ends_it(rig: Rig) -> None:
    """ShuttingDown for the caller; no procedure is taken any more."""
    await rig.init()
    begun: Deferred[None] = Deferred()

    def procedure(turn: Any) -> None:
        turn.deliver(begun.callback, None)
        while True:
            texts_of(turn, "endless")

    turn = rig.npu.perform(procedure)
    await begun
    closed = rig.npu.close()
    assert isinstance(await failure_of(turn), ShuttingDown)
    await closed
    assert isinstance(await failure_of(rig.npu.perform(lambda _: None)), ShuttingDown)


@pytest_twisted.ensureDeferred
async def test_parameters_can_be_checked_before_the_turn(rig: Rig) -> None:
    """prepare() raises at once; what it returns is for the turn."""
    with pytest.raises(InvalidParams):
        rig.npu.prepare("rkllm_init", {"colour": 1})
    prepared = rig.npu.prepare("rkllm_init", {"param": {"model_path": rig.model}})
    await rig.npu.perform(lambda turn: turn.perform(prepared))
    assert rig.npu.status().state == "loaded"


@pytest_twisted.ensureDeferred
async def test_default_param_needs_no_model(rig: Rig) -> None:
    """The result is the RKLLMParam itself."""
    param = await rig.npu.call("rkllm_createDefaultParam", None)
    assert param["model_path"] is None
    assert param["max_context_len"] > 0
