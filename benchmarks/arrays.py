"""What big arrays of floats cost the daemon's reactor thread, as a Markdown table.

Run it as ``python benchmarks/arrays.py``. Time is the processor time of the thread that does the
work. ``alone`` rows call the daemon's functions; ``socket`` rows are a client's requests to the
daemon's protocol over a UNIX socket, all that the reactor thread spends on them. Each row has a
yardstick, measured in the same run: the daemon may be slow because the machine is.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import random
import socket
import statistics
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import reactor as installed_reactor
from twisted.internet.threads import blockingCallFromThread
from zope.interface import implementer

from rkllm_twisted.binding.abi import releases
from rkllm_twisted.binding.layouts import layout_of
from rkllm_twisted.binding.prepare import prepare
from rkllm_twisted.interfaces import FloatArray, ICall, IRPCMethod
from rkllm_twisted.methods.configure import configure
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.server.protocol import RPCFactory
from rkllm_twisted.wire import encoding, framing, jsonrpc

reactor: Any = installed_reactor  # its type depends on the platform
LAYOUT = layout_of(releases()["1.3.0"])
#: Floats in one row of logits (a vocabulary), and in an embedding.
LOGITS, EMBEDDING = 152_000, 7_000_000

COPY = "one copy of the text"

Row = tuple[str, list[float], str, float]


def floats(count: int) -> bytes:
    """Numbers as a network gives them; a block of them over and over."""
    chance = random.Random(1)
    block = array("f", [chance.gauss(0, 3) for _ in range(min(count, 152_000))])
    return (block.tobytes() * (count // len(block) + 1))[: 4 * count]


@attrs.frozen
class Material:
    """What travels: a result with logits, and a request with an embedding."""

    result: dict[str, Any]
    message: bytes

    @classmethod
    def of(cls, logits: int, embedding: int) -> Material:
        """Make both."""
        text = base64.b64encode(floats(embedding)).decode()
        packed = {"base64": text, "dtype": "<f4", "shape": [embedding]}
        embed = {"input_type": 2, "embed_input": {"embed": packed, "n_tokens": 1}}
        result = {
            "text": None,
            "logits": {"logits": FloatArray(floats(logits), (1, logits)), "vocab_size": logits},
            "_callback_state": 0,
        }
        return cls(result, jsonrpc.request(1, "bench.embed", {"rkllm_input": embed}))

    def answer(self, form: str) -> bytes:
        """What the reactor thread does with a result, but for the socket."""
        return framing.line(jsonrpc.response(b"1", encoding.encode(self.result, form)))

    def prepared(self) -> object:
        """What it does with a complete message, up to the call that is ready for C."""
        message = jsonrpc.parse(self.message)
        assert isinstance(message, jsonrpc.Request)
        return prepare(LAYOUT, b"", "rkllm_run", message.params)


@implementer(IRPCMethod)
@attrs.frozen
class Method:
    """A method of the daemon under test."""

    name: str
    answer: Callable[[ICall], object]
    summary: str = "Is measured."
    params: None = None
    streams: bool = False

    def call(self, call: ICall) -> object:
        """Answer at once."""
        return self.answer(call)


def milliseconds(work: Callable[[], object], repeat: int) -> list[float]:
    """Time of this thread for each of some repetitions; the first one only warms up."""
    spent = []
    for _ in range(repeat + 1):
        begun = time.thread_time()
        work()
        spent.append(1000 * (time.thread_time() - begun))
    return spent[1:]


def copying(text: bytes, repeat: int) -> float:
    """Time to copy a text once, the least that can be done with it."""
    return statistics.median(milliseconds(lambda: bytearray(text), repeat))


def alone(material: Material, repeat: int) -> list[Row]:
    """Measure the functions by themselves."""
    base64_text = material.answer("base64")
    numbers = encoding.float32s(material.result["logits"]["logits"].data).tolist()

    dumps = statistics.median(milliseconds(lambda: json.dumps(numbers), repeat))
    loads = statistics.median(milliseconds(lambda: json.loads(material.message), repeat))
    packed = milliseconds(lambda: material.answer("base64"), repeat)
    listed = milliseconds(lambda: material.answer("json"), repeat)
    embedded = milliseconds(material.prepared, repeat)
    return [
        ("logits as base64, alone", packed, COPY, copying(base64_text, repeat)),
        ("logits as numbers, alone", listed, "json.dumps of them", dumps),
        ("embedding as base64, alone", embedded, "json.loads of the text", loads),
        ("the same", embedded, COPY, copying(material.message, repeat)),
    ]


class Client:
    """A client in a thread of its own, which asks the reactor for its time before and after."""

    def __init__(self, path: str, repeat: int) -> None:
        self._repeat = repeat
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")

    def ask(self, message: bytes) -> bytes:
        """Send a request; its answer."""
        self._socket.sendall(framing.line(message))
        answer = self._file.readline()
        assert b'"result"' in answer[:40], answer[:200]
        return answer

    def milliseconds(self, message: bytes, at_once: int) -> list[float]:
        """Time of the reactor thread for one request."""
        spent = []
        for _ in range(self._repeat + 1):
            begun = blockingCallFromThread(reactor, time.thread_time)
            for _ in range(at_once):
                self.ask(message)
            spent.append(1000 * (blockingCallFromThread(reactor, time.thread_time) - begun))
        return [each / at_once for each in spent[1:]]

    def rows(self, material: Material) -> list[Row]:
        """Measure over the socket."""
        logits = jsonrpc.request(1, "bench.logits")
        nothing = jsonrpc.request(1, "bench.nothing")
        empty = statistics.median(self.milliseconds(nothing, 100))
        self.ask(jsonrpc.request(1, "server.configure", {"floats": "base64"}))
        packed = self.milliseconds(logits, 10)
        embedded = self.milliseconds(material.message, 1)
        return [
            ("logits as base64, socket", packed, "an empty request", empty),
            (
                "embedding as base64, socket",
                embedded,
                COPY,
                copying(material.message, self._repeat),
            ),
        ]


def over_socket(material: Material, repeat: int) -> list[Row]:
    """Run the daemon's protocol in the reactor, with methods that only give and take arrays."""
    rows: list[Row] = []
    methods = [
        configure,
        Method("bench.nothing", lambda _: None),
        Method("bench.logits", lambda _: material.result),
        Method("bench.embed", lambda call: bool(prepare(LAYOUT, b"", "rkllm_run", call.params))),
    ]
    nobody: Any = None
    factory = RPCFactory(Dispatcher({m.name: m for m in methods}, nobody, nobody), reactor)

    def work(path: str) -> None:
        try:
            rows.extend(Client(path, repeat).rows(material))
        finally:
            reactor.callFromThread(reactor.stop)

    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "bench.sock")
        reactor.listenUNIX(path, factory)
        thread = threading.Thread(target=work, args=(path,))
        reactor.callWhenRunning(thread.start)
        reactor.run()
        thread.join()
    return rows


def table(rows: list[Row]) -> str:
    """Write Markdown."""
    lines = ["| what | median, ms | spread, ms | yardstick | ms | ratio |"]
    lines.append("|---|---|---|---|---|---|")
    for what, spent, yardstick, unit in rows:
        median = statistics.median(spent)
        spread = f"{min(spent):.2f} – {max(spent):.2f}"
        lines.append(
            f"| {what} | {median:.2f} | {spread} | {yardstick} | {unit:.2f} | {median / unit:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and on what it was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the size, once")
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    smaller, repeat = (100, 1) if options.quick else (1, options.repeat)
    material = Material.of(LOGITS // smaller, EMBEDDING // smaller)
    rows = [*alone(material, repeat), *over_socket(material, repeat)]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; {LOGITS // smaller:,} logits, an embedding of {EMBEDDING // smaller:,}")
    print(f"floats, {len(material.message):,} bytes; {repeat} repetitions.\n")
    print(table(rows))


if __name__ == "__main__":
    main()
