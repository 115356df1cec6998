"""A release and a function that are added to the table can be used, as adding-a-release.md says."""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from recording_library import Recorder, build
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from rkllm_twisted import abi
from rkllm_twisted.abi.release import Release, parse_table, releases
from rkllm_twisted.daemon.assembly import factory_for
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.errors import InvalidParams, NoModel, NotInRelease
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.runtime.library import open_file
from rkllm_twisted.runtime.runtime import Runtime, open_runtime
from rkllm_twisted.testing import FakeRuntime, StepThread
from rkllm_twisted.testing.memory_transport import MemoryEndpoint

PAGE = (Path(__file__).parents[2] / "docs" / "develop" / "adding-a-release.md").read_text("utf-8")
RELEASE, FUNCTION = map(json.loads, re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S))
REQUEST, ANSWER = (json.loads(re.search(rf"^{arrow} (.*)$", PAGE, re.M)[1]) for arrow in "→←")
COUNT = "rkllm_count_tokens"


def with_the_pages_rows(*more: Mapping[str, Any]) -> Mapping[str, Release]:
    """Add the page's rows to a copy of the table, and further releases."""
    table = json.loads((Path(abi.__file__).parent / "rkllm-abi.json").read_text("utf-8"))
    table["functions"].update(FUNCTION)
    for rows in (RELEASE, *more):
        table["releases"].update(rows)
    return parse_table(table)


KNOWN = with_the_pages_rows()


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Recording libraries with and without the function."""
    folder = tmp_path_factory.mktemp("recorder")
    return {name: build(KNOWN[name], folder) for name in ("1.3.0", "1.4.0")}


@pytest.fixture
def opened(
    libraries: Mapping[str, Path], tmp_path: Path
) -> Iterator[Callable[[str], tuple[Runtime, Recorder]]]:
    """A function that opens a library with the longer table and loads a model."""
    made: list[tuple[Runtime, Recorder]] = []
    model = tmp_path / "model.rkllm"
    model.write_bytes(b"\xffmodel")

    def open_library(release: str, rows: int = 1) -> tuple[Runtime, Recorder]:
        library = str(libraries[release])
        recorder = Recorder(ctypes.CDLL(library), tmp_path / "recorded")
        recorder.native.recorder_sizes(1, rows)
        runtime = open_runtime(library, None, {}, known=KNOWN)
        made.append((runtime, recorder))
        param = {"model_path": str(model), "extend_param": {"n_batch": rows}}
        runtime.perform(runtime.prepare("rkllm_init", [param]))
        return runtime, recorder

    yield open_library
    for runtime, recorder in made:
        recorder.reset()
        runtime.close()


def test_the_library_is_recognised(opened: Callable[..., tuple[Runtime, Recorder]]) -> None:
    """It exports what no other release has."""
    assert opened("1.4.0")[0].version.abi == "1.4.0"
    assert opened("1.3.0")[0].version.abi == "1.3.0"


def test_c_gets_what_was_sent_and_its_outputs_come_back(
    opened: Callable[..., tuple[Runtime, Recorder]],
) -> None:
    """The recording library writes 100, 101 … to each output."""
    runtime, recorder = opened("1.4.0", rows=2)
    sent = {"prompt": "One, two.", "limits": [64, 32]}
    outputs = runtime.perform(runtime.prepare(COUNT, sent))
    assert outputs == {
        "success": True,
        "status_code": 0,
        "n_tokens": 100,
        "n_cached": [100, 101],
    }
    last = recorder.last()
    assert {name: last[name] for name in ("function", *sent)} == {"function": COUNT, **sent}


def test_an_array_for_the_rows_has_as_many_elements(
    opened: Callable[..., tuple[Runtime, Recorder]],
) -> None:
    """C would read beyond its end."""
    runtime, _ = opened("1.4.0", rows=2)
    with pytest.raises(InvalidParams, match="limits: has 1 elements, but the model's n_batch is 2"):
        runtime.perform(runtime.prepare(COUNT, {"limits": [64]}))


def test_a_handle_is_needed(opened: Callable[..., tuple[Runtime, Recorder]]) -> None:
    """The declaration says so."""
    runtime, _ = opened("1.4.0")
    runtime.perform(runtime.prepare("rkllm_destroy", None))
    with pytest.raises(NoModel):
        runtime.perform(runtime.prepare(COUNT, {"limits": [64]}))


def test_an_older_library_names_the_release_that_it_needs(
    opened: Callable[..., tuple[Runtime, Recorder]],
) -> None:
    """The releases come from the same table."""
    runtime, _ = opened("1.3.0")
    with pytest.raises(NotInRelease, match="needs 1.4.0 or later"):
        runtime.prepare(COUNT, {"limits": [64]})


class Collector(Protocol):
    """A client that keeps what it reads."""

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data


@pytest.fixture
def ask(opened: Callable[..., tuple[Runtime, Recorder]]) -> Callable[[Mapping[str, Any]], Any]:
    """A function that sends a request to a daemon in memory and returns its answer."""
    clock, thread = Clock(), StepThread()
    npu = ThreadNPU(opened("1.4.0")[0], thread.in_thread, thread.from_thread)
    options = Options()
    options.parseOptions(["--socket", "(memory)"])
    factory = factory_for(npu, options, find_methods(known=KNOWN), clock)
    clients: list[Any] = []
    endpoint = MemoryEndpoint(clock, factory)
    endpoint.connect(Factory.forProtocol(Collector)).addCallback(clients.append)

    def ask(request: Mapping[str, Any]) -> Any:
        client = clients[0]
        client.received = b""
        client.transport.write(json.dumps(request).encode() + b"\n")
        clock.advance(0)
        thread.run()
        clock.advance(0)
        return json.loads(client.received)

    return ask


def test_a_client_calls_it_as_the_page_shows(ask: Callable[[Mapping[str, Any]], Any]) -> None:
    """The method is made of the row."""
    assert ask(REQUEST) == ANSWER


def test_the_daemon_describes_it(ask: Callable[[Mapping[str, Any]], Any]) -> None:
    """rpc.discover has its parameters, its result and its errors."""
    found = ask({"jsonrpc": "2.0", "id": 1, "method": "rpc.discover"})["result"]
    assert found["x-abi"] == {"layout": "1.4.0", "releases": ["1.4.0"]}
    method = next(m for m in found["methods"] if m["name"] == REQUEST["method"])
    assert method["summary"] == FUNCTION[COUNT]["summary"]
    assert [(p["name"], p["required"]) for p in method["params"]] == [
        ("prompt", False),
        ("limits", True),
    ]
    result = method["result"]["schema"]["properties"]
    assert result["n_tokens"]["type"] == "integer"
    assert (result["n_cached"]["type"], result["n_cached"]["items"]) == (
        "array",
        {"type": "integer"},
    )
    assert not method["x-administrative"]


def test_the_fake_runtime_has_it() -> None:
    """A program is tested with it before there is a library; its outputs are zeros."""
    runtime = FakeRuntime(release=KNOWN["1.4.0"])
    runtime.load("model", rows=2)
    answer = runtime.perform(runtime.prepare(COUNT, {"limits": [1, 1]}))
    assert answer == {"success": True, "status_code": 0, "n_tokens": 0, "n_cached": [0, 0]}


def test_the_next_release_is_one_row() -> None:
    """It has the layout and the function."""
    known = with_the_pages_rows({"1.4.1": {"like": "1.4.0"}})
    assert known["1.4.0"].covers == ("1.4.0", "1.4.1")


def test_the_embedded_runtime_is_the_newest_that_was_built() -> None:
    """A row of the table builds no library."""
    newest = open_file("cpu", None, {}, releases())
    assert open_file("cpu", None, {}, KNOWN).path == newest.path
