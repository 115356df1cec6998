"""Cancelling A never stops B: thousands of random interleavings, at every moment of a run.

Three clients ask, cancel and leave: while a run waits, when its turn has come but the thread has
not begun, when the thread stands before C, between two tokens, and when C is back but the reactor
does not know yet. Nothing is random but the seeds; a failing one is named.
"""

from __future__ import annotations

import random
from collections import Counter

import attrs
import msgspec
from memory_server import MemoryServer, MemoryTransport
from soaking import repetitions

from rkllm_twisted.testing import Answer
from rkllm_twisted.wire.framing import Netstrings, netstring

INTERLEAVINGS = repetitions(2_000, 10_000)
TEXTS = ("one ", "two ", "three ")
RUN = '{"jsonrpc":"2.0","id":%d,"method":"%s","params":[{"prompt_input":"%s"}]}'
CANCEL = '{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%d}}'


@attrs.define
class Run:
    """A run that a client requested.

    :ivar given_up: its own client cancelled it or left, before it was answered.
    """

    prompt: str
    given_up: bool = False
    entered: bool = False


class Client:
    """One connection and its runs, by id. Every client counts its ids from 1."""

    def __init__(self, house: MemoryServer, name: str) -> None:
        self.name = name
        self.runs: dict[int, Run] = {}
        self.answered: dict[int, str] = {}
        self.left = False
        self.transport: MemoryTransport = house.connect()  # type: ignore[assignment]

    def read(self) -> None:
        """Read the server's output: texts and the end of each run."""
        texts: dict[int, list[str]] = {number: [] for number in self.runs}
        for payload in Netstrings().feed(bytes(self.transport.received)):
            message = msgspec.json.decode(payload)
            self._take(message, texts[message["id"]])

    def _take(self, message: dict[str, dict[str, str]], texts: list[str]) -> None:
        number, result = int(message["id"]), message.get("result", {})  # type: ignore[call-overload]
        assert number not in self.answered, "something came after the answer"
        texts.append(result.get("text") or "")
        if result.get("_callback_state") != 0:
            error = message.get("error")
            self.answered[number] = str(error["code"]) if error else "".join(texts)


class Play:
    """Interleavings on one server.

    :ivar cancelled_at: at which moments runs were given up.
    """

    def __init__(self) -> None:
        self.house = MemoryServer(pace=self.act, entered=self._entered)
        self.house.load()
        self.cancelled_at: Counter[str] = Counter()
        self.clients: list[Client] = []
        self.late = 0

    def play(self, seed: int) -> None:
        """Act at every moment of a run, and check that each run ends on its own terms."""
        self.chance = random.Random(seed)
        self.clients = [Client(self.house, f"{seed}{name}") for name in "abc"]
        self.left_to_ask = self.chance.randint(2, 5)
        self.house.runtime.aborts.clear()
        self._ask()
        thread = self.house.thread
        while self.left_to_ask or len(thread) or thread.calls:
            self.act()
            if len(thread) and not thread.calls:
                thread.go()
            self._deliver()
        self._check()

    def _deliver(self) -> None:
        thread = self.house.thread
        if thread.calls:
            thread.deliver()

    def act(self) -> None:
        """Do one random action, possibly in the middle of a run."""
        for _ in range(self.chance.choice((0, 0, 1))):
            kind = self.chance.random()
            if kind < 0.35:
                self._ask()
            elif kind < 0.6:
                self._deliver()
            elif kind < 0.95:
                self._cancel()
            else:
                self._leave()

    def _present(self) -> Client | None:
        return self.chance.choice([c for c in self.clients if not c.left] or [None])  # type: ignore[list-item]

    def _ask(self) -> None:
        client = self._present()
        if client is None or not self.left_to_ask:
            self.left_to_ask = 0 if client is None else self.left_to_ask
            return
        self.left_to_ask -= 1
        number = len(client.runs) + 1
        run = client.runs[number] = Run(f"{client.name}{number}")
        self.house.answers[run.prompt] = Answer(TEXTS)
        method = self.chance.choice(("rkllm.run", "rkllm.run_async"))
        client.transport.feed(netstring((RUN % (number, method, run.prompt)).encode()))

    def _cancel(self) -> None:
        """Cancel a number: the client's own, or one that only the others have in use."""
        client = self._present()
        if client is not None:
            number = self.chance.randint(1, 3)
            self._give_up(client, number)
            client.transport.feed(netstring((CANCEL % number).encode()))

    def _leave(self) -> None:
        client = self._present()
        if client is not None:
            client.left = True
            for number in client.runs:
                self._give_up(client, number)
            client.transport.leave()
            self.house.clock.advance(0)

    def _give_up(self, client: Client, number: int) -> None:
        run = client.runs.get(number)
        if run is not None and not run.given_up:
            run.given_up = True
            self.cancelled_at[self._moment(client, run)] += 1

    def _moment(self, client: Client, run: Run) -> str:
        house = self.house
        if house.runtime.prompt == run.prompt:
            return "in C"
        if run.entered:
            inside = house.runtime.at_work
            return "before C" if inside == run.prompt else "back, or answered"
        running = house.npu.status().running
        protocol = client.transport.protocol
        assert protocol is not None
        has_turn = running is not None and running.client is protocol.conversation
        return "has its turn" if has_turn and len(house.thread) else "waits"

    def _entered(self, prompt: str) -> None:
        for client in self.clients:
            for run in client.runs.values():
                if run.prompt == prompt:
                    run.entered = True
                    self.late += run.given_up

    def _check(self) -> None:
        runs = {run.prompt: run for client in self.clients for run in client.runs.values()}
        foreign = [p for p in self.house.runtime.aborts if p is not None and not runs[p].given_up]
        assert foreign == [], "stopped by somebody else"
        assert self.late == 0, "given up, and reached the NPU"
        for client in self.clients:
            client.read()
            for number, run in client.runs.items():
                self._check_answer(client, number, run)
            client.transport.leave()
        self.house.clock.advance(0)
        assert self.house.factory.connections == set()
        self.house.answers.clear()

    @staticmethod
    def _check_answer(client: Client, number: int, run: Run) -> None:
        answer = client.answered.get(number)
        allowed = ["".join(TEXTS)]
        if run.given_up:
            allowed.append("-32800")
        assert client.left or answer in allowed, (client.name, number, answer)


def test_cancelling_one_never_stops_another() -> None:
    """There are 0 foreign aborts, and every moment occurs."""
    play = Play()
    for seed in range(INTERLEAVINGS):
        play.play(seed)
    for moment in ("waits", "has its turn", "before C", "in C", "back, or answered"):
        assert play.cancelled_at[moment] > INTERLEAVINGS // 100, play.cancelled_at
