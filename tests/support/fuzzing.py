"""Damaged bytes straight into the protocol, in memory, and the permitted outcomes.

One execution is one piece of damaged bytes that a connection reads. The server is the real one but
for the runtime and the sockets. Allowed are JSON-RPC replies in the connection's framing, or the
end of the connection; nothing else.
"""

from __future__ import annotations

import json
import random
from multiprocessing import get_context
from typing import Any

import attrs
from contracts.test_wire_table import CASES, ONLY_NETSTRINGS, SPECIFICATION
from memory_client import SPEC_METHODS, FakeMethod, by_name
from memory_server import MemoryServer, MemoryTransport, held, unread
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.wire.framing import netstring, sniff
from rkllm_twisted.wire.lines import RECEIVERS, line

MAX_LENGTH = 8 * 1024
#: One read may bring the end of a message and a part of the next one.
MAX_HELD = 2 * MAX_LENGTH
#: A connection that is not closed by what it reads is closed after so many pieces, or sooner
#: where a wrong length swallows them.
PIECES = 40
SWALLOWED = 1000
#: No case of the table is longer: time goes into damage, not into length.
LONGEST = 500

CALLS = [
    b'{"jsonrpc":"2.0","id":1,"method":"rkllm.init","params":[null,{"model_path":"/m"},null]}',
    b'{"jsonrpc":"2.0","id":2,"method":"rkllm.run","params":[null,{"prompt_input":"\\u00e4"}]}',
    b'{"jsonrpc":"2.0","id":"s","method":"rkllm.run_async","params":[{"prompt_input":"hi"}]}',
    b'{"jsonrpc":"2.0","id":3,"method":"server.configure","params":{"stream":"notifications"}}',
    b'{"jsonrpc":"2.0","id":4,"method":"server.configure","params":{"floats":"base64"}}',
    b'[{"jsonrpc":"2.0","id":5,"method":"server.status"},{"jsonrpc":"2.0","method":"x"}]',
    b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":2}}',
    b'{"jsonrpc":"2.0","id":6,"method":"server.cancel","params":{"id":"s"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"rkllm.destroy"}',
    b'{"jsonrpc":"2.0","id":8,"method":"rkllm.abort"}',
    b'{"jsonrpc":"2.0","id":9,"method":"rpc.discover"}',
]
PAYLOADS = [
    payload
    for payload in [*CALLS, *(case[0] for case in [*CASES.values(), *ONLY_NETSTRINGS.values()])]
    if len(payload) <= LONGEST
] + [sent for sent, _ in SPECIFICATION]
CORPORA = [[frame(payload) for payload in PAYLOADS] for frame in (netstring, line)]
TOKENS = [b'"', b"[", b"]", b"{", b"}", b"\\", b"\n", b",", b":", b"9" * 20, b"\\ud800", b"\xff"]
TOKENS += [b"null", b"NaN", b"1e999", b'"id":1,', b'{"a":' * 70, b"0:,", b"\x00", b"\xe2\x82"]
#: The examples' sum takes numbers only, and says so with a traceback.
SPEC = {**by_name(SPEC_METHODS), "sum": FakeMethod("sum")}


@attrs.define
class Report:
    """The totals of a fuzzing run."""

    executions: int = 0
    connections: int = 0
    replies: int = 0
    most_held: int = 0


def damaged(chance: random.Random, corpus: list[bytes]) -> bytes:
    """A message with bytes changed, taken out, doubled, put in, joined to another, or cut."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 5))):
        at = int(chance.random() * (len(data) + 1))
        kind = int(chance.random() * 6)
        if kind == 0 and at < len(data):
            data[at] = chance.getrandbits(8)
        elif kind == 1:
            del data[at : at + 1 + chance.getrandbits(4)]
        elif kind == 2:
            data[at:at] = data[at : at + 1 + chance.getrandbits(5)]
        elif kind == 3:
            data[at:at] = chance.choice(TOKENS)
        elif kind == 4:
            data[at:] = chance.choice(chance.choice(CORPORA))
        else:
            del data[at:]
    return bytes(data) or b"{"


def check_reply(payload: bytes) -> None:
    """A reply, a batch of them, or a partial result."""
    value = json.loads(payload.decode(), parse_constant=int)  # NaN and Infinity are refused
    for reply in value if isinstance(value, list) else [value]:
        assert reply["jsonrpc"] == "2.0", reply
        if "method" in reply:
            assert reply["method"] == "rkllm.result", reply
            assert "id" not in reply, reply
        else:
            assert reply.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), reply
    assert value != [], "an empty batch is never answered with one"


class Fuzzer:
    """One server, and one hostile connection after the other."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.report = Report()
        self.house = MemoryServer(limits=Limits(max_length=MAX_LENGTH), extra=SPEC)
        self.house.load()
        self.logged: list[str] = []

    def fuzz(self, executions: int) -> Report:
        """Do a number of executions; check that nothing is left at the end."""
        globalLogPublisher.addObserver(self._observe)
        try:
            while self.report.executions < executions:
                self._one_connection(min(PIECES, executions - self.report.executions))
        finally:
            globalLogPublisher.removeObserver(self._observe)
        assert self.house.factory.connections == set()
        assert self.house.clock.getDelayedCalls() == []
        assert self.house.npu.status().queue_length == 0
        return self.report

    def _observe(self, event: LogEvent) -> None:
        if "log_failure" in event or event.get("log_level", LogLevel.info) >= LogLevel.error:
            self.logged.append(str(event))

    def _one_connection(self, pieces: int) -> None:
        transport: MemoryTransport = self.house.connect()  # type: ignore[assignment]
        self.report.connections += 1
        corpus = self.chance.choice(CORPORA)
        first: bytes = b""
        for _ in range(pieces):
            data = damaged(self.chance, corpus)
            first = first or data
            try:
                self._execute(transport, data, first)
            except Exception as error:
                raise AssertionError(f"{data!r} on a connection that began {first!r}") from error
            if transport.lost or transport.closing or self._is_swallowing(transport):
                break
        self._end(transport, first)

    def _is_swallowing(self, transport: MemoryTransport) -> bool:
        assert transport.protocol is not None
        return held(transport.protocol) > SWALLOWED and self.chance.random() < 0.5

    def _end(self, transport: MemoryTransport, first: bytes) -> None:
        if not transport.lost and self.chance.random() < 0.5:
            transport.feed(None)  # the last words may be a message, too
            self._let_all_happen(transport)
            self._check_replies(transport, first)
        transport.leave()
        self.house.clock.advance(0)
        assert transport.lost

    def _execute(self, transport: MemoryTransport, data: bytes, first: bytes) -> None:
        self.report.executions += 1
        transport.feed(data)
        self._let_all_happen(transport)
        self._check_replies(transport, first)
        assert not self.logged, self.logged

    def _let_all_happen(self, transport: MemoryTransport) -> None:
        self.house.thread.run()
        while self.house.factory.state.rounds._next is not None:
            self.house.clock.advance(0)
        if transport.closing:
            self.house.clock.advance(0)
        protocol: Any = transport.protocol
        memory = held(protocol) + unread(protocol)
        self.report.most_held = max(self.report.most_held, memory)
        assert memory <= MAX_HELD, memory

    def _check_replies(self, transport: MemoryTransport, first: bytes) -> None:
        if not transport.received:
            return
        data = bytes(transport.received)
        transport.received.clear()
        receiver = RECEIVERS[sniff(data)]()
        if not first[:1].isdigit():
            assert data.endswith(b"\n"), data
        messages = receiver.feed(data)
        assert sum(map(len, messages)) < len(data)
        self.report.replies += len(messages)
        for message in messages:
            check_reply(message)


def _fuzz(seed: int, executions: int) -> Report:
    return Fuzzer(seed).fuzz(executions)


def fuzz_on_all(cores: int, executions: int, seed: int) -> Report:
    """Distribute the executions over several processes."""
    shares = [executions // cores] * cores
    shares[0] += executions % cores
    with get_context("spawn").Pool(cores) as pool:
        reports = pool.starmap(_fuzz, [(seed + i, share) for i, share in enumerate(shares)])
    return Report(
        sum(report.executions for report in reports),
        sum(report.connections for report in reports),
        sum(report.replies for report in reports),
        max(report.most_held for report in reports),
    )
