"""What a call that waits costs, which nobody sees while the queue is short."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator

import pytest
from memory_client import MemoryClient
from twisted.internet.task import Clock

from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.testing import FakeRuntime, StepThread

#: Python's collector looks at each object again and again; 10,000 calls may wait.
MAX_OBJECTS = 55
CALLS = 200
RUN = {"rkllm_input": {"prompt_input": "x"}}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def client() -> MemoryClient:
    """A client of an NPU whose first turn never ends."""
    thread = StepThread()
    npu = ThreadNPU(FakeRuntime(), thread.in_thread, thread.from_thread, queue_limit=2 * CALLS)
    dispatcher = Dispatcher(find_methods(), npu, "the daemon")  # type: ignore[arg-type]
    limits = Limits(max_requests=2 * CALLS)
    return MemoryClient(factory=RPCFactory(dispatcher, Clock(), limits=limits))


def call(talk: MemoryClient, number: int) -> None:
    message = {"jsonrpc": "2.0", "id": number, "method": "rkllm.run", "params": RUN}
    talk.send(json.dumps(message).encode() + b"\n")


@pytest.mark.usefixtures("no_collector")
def test_a_waiting_call_is_few_objects_for_the_collector() -> None:
    talk = client()
    for number in range(CALLS):
        call(talk, number)
    before = len(gc.get_objects())
    for number in range(CALLS, 2 * CALLS):
        call(talk, number)
    each = (len(gc.get_objects()) - before) / CALLS
    assert 10 < each <= MAX_OBJECTS
    assert talk.raw() == b"", "all of them wait"
