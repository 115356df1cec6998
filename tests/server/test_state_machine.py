"""The whole server against a model of its duties to clients, in any order of events.

Clients connect, ask, cancel, stop reading and leave; the NPU goes on by single moments; time
passes. In every case each request has one answer, and no client stops another client's work.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from memory_server import MemoryServer, MemoryTransport, held, unread

from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server import outbox
from rkllm_twisted.testing import Answer, End, PacedThread
from rkllm_twisted.wire.framing import Kind
from rkllm_twisted.wire.lines import FRAMES, RECEIVERS

#: Bytes of a transport's buffer, instead of Twisted's 64 KiB; the server's slices are as small.
ROOM = 300
QUEUE = 3
CLIENTS = 3
LIMITS = Limits(
    max_length=700,
    max_requests=3,
    max_unread=2000,
    unread_timeout=5.0,
    messages_per_turn=2,
    linger=1.0,
)
#: More than any one message that the server writes here.
ONE_MESSAGE = 4000
BUSY, CANCELLED, STOPPING = -32002, -32800, -32802
REFUSED, NO_MODEL, INVALID = -32000, -32001, -32600
RUNS = ("rkllm.run", "rkllm.run_async")
#: These do not count against the requests that a connection may have under way.
UNCOUNTED = ("server.ping", "server.cancel", "rkllm.abort")


@attrs.define
class Asked:
    """A request and the messages that it got.

    :param prompt: of a run, unique.
    :ivar whole: all of its bytes were sent.
    """

    method: str
    prompt: str | None = None
    in_batch: bool = False
    whole: bool = False
    cancelled: bool = False
    answer: Any = None
    texts: list[str] = attrs.field(factory=list)

    @property
    def counted(self) -> bool:
        """Does the request count towards the connection's limit?"""
        return self.method not in UNCOUNTED


def served(house: MemoryServer) -> int:
    """The number of served clients. A client that has just left may still count."""
    return sum(not one.transport.gone for one in house.factory.connections)


class Client:
    """One client: its messages, the answers that it must get, and those that it got."""

    def __init__(self, number: int, house: MemoryServer, kind: Kind, form: str) -> None:
        self.number = number
        self.kind, self.form = kind, form
        self.house = house
        self.wrong: list[str] = []
        self.asked: dict[int, Asked] = {}
        self.again: Counter[int] = Counter()
        self.whole_again: Counter[int] = Counter()
        self.told_again: Counter[int] = Counter()
        self.messages = self.faults = self.told_faults = 0
        self.rest: bytes = b""
        self.rest_asked: list[Asked] = []
        self.rest_again: list[int] = []
        self.broken = self.half_closed = self.was_slow = False
        self._parser = RECEIVERS[kind]()
        self.turned_away = served(house) >= CLIENTS
        self.transport: MemoryTransport = house.connect(ROOM, self._written)  # type: ignore[assignment]
        self.faults += self.turned_away

    # The server's output

    def _written(self, data: bytes) -> None:
        """Check the server's output; exceptions of the check must not reach the server."""
        try:
            for text in self._parser.feed(data):
                message = json.loads(text)
                for single in message if isinstance(message, list) else [message]:
                    self._take(single)
        except Exception as error:  # noqa: BLE001 - the server would log it as its own
            self.wrong.append(repr(error))

    def _take(self, message: dict[str, Any]) -> None:
        assert message["jsonrpc"] == "2.0"
        if "method" in message:
            self._take_notification(message)
        elif message["id"] is None:
            self.told_faults += 1
            assert self.told_faults <= self.faults, message
        elif self._is_about_a_repeated_id(message):
            self.told_again[message["id"]] += 1
            assert self.told_again[message["id"]] <= self.again[message["id"]], message
        else:
            self._take_response(self.asked[message["id"]], message)

    @staticmethod
    def _is_about_a_repeated_id(message: dict[str, Any]) -> bool:
        return message.get("result") == "pong" or message.get("error", {}).get("code") == INVALID

    def _take_notification(self, message: dict[str, Any]) -> None:
        assert self.form == "notifications"
        assert message["method"] == "rkllm.result"
        asked = self.asked[message["params"]["id"]]
        assert message["params"]["seq"] == len(asked.texts), "a gap in the stream"
        self._take_partial(asked, message["params"]["result"])

    def _take_response(self, asked: Asked, message: dict[str, Any]) -> None:
        result = message.get("result")
        state = result.get("_callback_state", 2) if isinstance(result, dict) else 2
        if state < 2:
            assert self.form == "responses"
            self._take_partial(asked, result)
        else:
            assert asked.answer is None, f"answered twice: {message}"
            asked.answer = message
            self._check(asked, message)

    def _take_partial(self, asked: Asked, result: dict[str, Any]) -> None:
        assert asked.method == "rkllm.run_async", "only who asked for a stream gets one"
        assert asked.answer is None, "a result after the answer"
        assert asked.prompt is not None
        asked.texts.append(result["text"])
        expected = self.house.answers[asked.prompt].parts
        assert asked.texts == list(expected[: len(asked.texts)]), "not in order, or another's"

    def _check(self, asked: Asked, message: dict[str, Any]) -> None:
        """Check that an answer is valid after the events so far."""
        code = message.get("error", {}).get("code")
        if code is None:
            if asked.method in RUNS:
                self._check_result(asked, message["result"])
        elif code == CANCELLED:
            assert asked.cancelled, "cancelled by somebody else"
        elif code == REFUSED:
            assert self.house.answers[asked.prompt or ""].then is End.ERROR
            assert asked.method == "rkllm.run"
        else:
            assert code in (BUSY, NO_MODEL, STOPPING), message

    def _check_result(self, asked: Asked, result: dict[str, Any]) -> None:
        assert asked.prompt is not None
        answer = self.house.answers[asked.prompt]
        assert result["_callback_state"] == (3 if answer.then is End.ERROR else 2)
        texts = "".join(asked.texts) if asked.method == "rkllm.run_async" else result["text"]
        if asked.prompt not in STOPPED:
            assert texts == "".join(answer.parts), "stopped by somebody else"

    # Messages to the server

    def ask(self, method: str, params: Any = None, prompt: str | None = None) -> bytes:
        """Make a request with a new id."""
        number = len(self.asked) + 1
        self.asked[number] = Asked(method, prompt)
        return self.message(method, params, number)

    def run(self, method: str, answer: Answer) -> bytes:
        """Make a request for a run that has its own answer."""
        prompt = f"{self.number}.{len(self.asked) + 1}"
        texts = tuple(f"{prompt}:{i} " for i in range(len(answer.parts)))
        self.house.answers[prompt] = attrs.evolve(answer, parts=texts)
        return self.ask(method, [{"prompt_input": prompt}], prompt)

    def message(self, method: str, params: Any, number: int | None) -> bytes:
        """Make a message without framing."""
        body = {"jsonrpc": "2.0", "method": method, "params": params}
        return json.dumps(body if number is None else {**body, "id": number}).encode()

    def send(
        self, payload: bytes, *asked: Asked, again: int | None = None, cut: int | None = None
    ) -> None:
        """Send the rest of the last message, and then this one or a part of it."""
        self.send_rest()
        data = FRAMES[self.kind](payload)
        if cut is None:
            cut = len(data)
        self.transport.feed(data[:cut])
        self.rest, self.rest_asked = data[cut:], list(asked)
        self.rest_again = [] if again is None else [again]
        if not self.rest:
            self._sent_whole()

    def send_rest(self) -> None:
        """Send the rest of the last message."""
        if self.rest:
            self.transport.feed(self.rest)
            self._sent_whole()

    def _sent_whole(self) -> None:
        self.rest = b""
        self.messages += 1
        self.whole_again.update(self.rest_again)
        for asked in self.rest_asked:
            asked.whole = True

    # The client's state

    @property
    def can_send(self) -> bool:
        """Can the client still send?"""
        return not (self.half_closed or self.transport.gone or self.transport.lost)

    @property
    def is_owed(self) -> bool:
        """Must all its requests be answered?"""
        doomed = self.broken or self.turned_away or self.transport.gone
        dropped = self.transport.lost and (self.was_slow or not self.half_closed)
        return not (doomed or dropped)

    @property
    def is_prompt(self) -> bool:
        """Has the server handled all its messages and written all its output?"""
        protocol = self.transport.protocol
        assert protocol is not None
        handled = protocol.conversation.messages == self.messages and not self.rest
        in_batch = any(asked.in_batch for asked in self.open())
        return handled and not self.transport.paused and self.is_owed and not in_batch

    def open(self) -> list[Asked]:
        """Requests without an answer."""
        return [asked for asked in self.asked.values() if asked.answer is None]

    def owner_of(self, prompt: str) -> Asked | None:
        """The request that a run belongs to, if it is this client's."""
        return next((a for a in self.asked.values() if a.prompt == prompt), None)


#: Prompts of the runs that an explicit rkllm.abort stopped.
STOPPED: set[str] = set()

ANSWERS = st.builds(
    Answer,
    parts=st.lists(st.just("x"), max_size=3).map(tuple),
    then=st.sampled_from(End),
)
CUTS = st.one_of(st.none(), st.integers(1, 120))
WHO = st.integers(0, 7)
#: Events that end a connection, a model or the daemon are rare, so that others come before.
RARELY = st.sampled_from([False, False, False, True])
SOMEBODY = precondition(lambda self: bool(self.clients))


class Server(RuleBasedStateMachine):
    """The rules are possible events; the invariants hold between them."""

    def __init__(self) -> None:
        super().__init__()
        STOPPED.clear()
        self.thread = PacedThread()
        self.wrong: list[str] = []
        self.house = MemoryServer(self.thread, LIMITS, QUEUE, CLIENTS, entered=self._entered)
        self._watch_aborts()
        self.clients: list[Client] = []
        self.stopping = False
        self.stopped: list[object] = []

    def _watch_aborts(self) -> None:
        """Record the run that an explicit abort stops: rkllm.abort affects any client, as in C."""
        npu, runtime = self.house.npu, self.house.runtime
        plain = npu.abort

        def abort() -> Any:
            if runtime.prompt is not None:
                STOPPED.add(runtime.prompt)
            return plain()

        npu.abort = abort  # type: ignore[method-assign]

    def _entered(self, prompt: str) -> None:
        """Record an error if a run reaches the NPU after its client gave it up."""
        for client in self.clients:
            asked = client.owner_of(prompt)
            if asked is not None and (asked.answer is not None or client.transport.lost):
                self.wrong.append(f"{prompt} was given up and reached the NPU")

    def teardown(self) -> None:
        """Check that every client has its answers, and that no state remains after all leave."""
        for client in self.clients:
            client.transport.read_on()
            if client.can_send:
                client.send_rest()
        self._come_to_rest()
        for client in self.clients:
            self._check_answered(client)
        for client in self.clients:
            client.transport.leave()
        self._come_to_rest()
        self._check_empty()

    def _come_to_rest(self) -> None:
        for _ in range(20):
            self.house.clock.advance(0)
            self.thread.run()
            self.house.clock.advance(0.5)
            self.invariants_hold()

    def _check_answered(self, client: Client) -> None:
        if client.transport.lost and not (client.was_slow or client.half_closed):
            assert client.broken or client.turned_away or client.transport.gone or self.stopping
        if client.is_owed and not self.stopping:
            unanswered = [asked for asked in client.open() if asked.whole]
            assert unanswered == []
            assert client.told_again >= client.whole_again
        if client.half_closed:
            assert client.transport.lost, "who sends no more is closed when all is answered"

    def _check_empty(self) -> None:
        factory, npu = self.house.factory, self.house.npu
        assert factory.connections == set()
        assert factory.state.turned_away == set()
        assert self.house.clock.getDelayedCalls() == []
        assert npu.status().queue_length == 0
        assert npu.status().state in ("empty", "loaded", "closed")
        for client in self.clients:
            protocol = client.transport.protocol
            assert protocol is not None
            assert protocol.conversation._under_way == {}
            assert (held(protocol), unread(protocol)) == (0, 0)
        if self.stopping:
            assert self.stopped == [None, None]

    # Invariants

    @invariant()
    def invariants_hold(self) -> None:
        """Check the limits: one call on the NPU, a short queue, bounded buffers, fair turns."""
        assert self.wrong == [], self.wrong
        assert len(self.thread) + self.thread.busy <= 1
        assert self.house.runtime.at_once <= 1
        assert self.house.npu.status().queue_length <= QUEUE
        assert served(self.house) <= CLIENTS
        for client in self.clients:
            assert client.wrong == [], client.wrong
            self._check_limits(client)

    def _check_limits(self, client: Client) -> None:
        protocol = client.transport.protocol
        assert protocol is not None
        under_way = protocol.conversation._under_way
        counted = [a for n, a in client.asked.items() if n in under_way and a.counted]
        assert len(counted) <= LIMITS.max_requests
        assert held(protocol) <= 2 * LIMITS.max_length
        assert unread(protocol) <= LIMITS.max_unread + ONE_MESSAGE
        assert len(client.transport.waiting) <= 2 * ROOM

    # Connections

    @initialize(empty=RARELY, kinds=st.lists(st.sampled_from(Kind), min_size=2, max_size=2))
    def open_for_business(self, empty: bool, kinds: list[Kind]) -> None:
        """Usually load a model, and connect at least two clients."""
        if not empty:
            self.house.load()
        for kind in kinds:
            self._connect(kind, "responses")

    @precondition(lambda self: len(self.clients) < 8 and not self.stopping)
    @rule(kind=st.sampled_from(Kind), form=st.sampled_from(["responses", "notifications"]))
    def connect(self, kind: Kind, form: str) -> None:
        """A client connects and chooses its forms."""
        if len(self.house.factory.state.turned_away) >= CLIENTS:
            assert self.house.connect() is None
        else:
            self._connect(kind, form)

    def _connect(self, kind: Kind, form: str) -> None:
        client = Client(len(self.clients), self.house, kind, form)
        self.clients.append(client)
        client.send(client.ask("server.configure", {"stream": form}), client.asked[1])

    def _some(self, who: int, is_one: Callable[[Client], bool]) -> Client | None:
        candidates = [client for client in self.clients if is_one(client)]
        return candidates[who % len(candidates)] if candidates else None

    def _sender(self, who: int) -> Client | None:
        return self._some(who, lambda client: client.can_send)

    @SOMEBODY
    @rule(who=WHO, happens=RARELY)
    def leave(self, who: int, happens: bool) -> None:
        """A client closes its connection."""
        client = self._some(who, lambda client: not client.transport.gone)
        if client and happens:
            client.transport.leave()

    @SOMEBODY
    @rule(who=WHO, happens=RARELY)
    def half_close(self, who: int, happens: bool) -> None:
        """A client closes its sending half and reads on."""
        client = self._sender(who)
        if client and happens:
            client.half_closed = True
            client.faults += bool(client.rest)
            client.transport.feed(None)

    @SOMEBODY
    @rule(who=WHO, reads=st.booleans())
    def read(self, who: int, reads: bool) -> None:
        """A client stops reading, or reads on."""
        if client := self._some(who, lambda client: not client.transport.gone):
            client.transport.client_reads = reads
            client.was_slow |= not reads
            if reads:
                client.transport.read_on()

    # Requests

    @SOMEBODY
    @rule(who=WHO, method=st.sampled_from(RUNS), answer=ANSWERS, cut=CUTS)
    def run(self, who: int, method: str, answer: Answer, cut: int | None) -> None:
        """A client asks for a run."""
        if client := self._sender(who):
            self._request(client, client.run(method, answer), cut)

    @SOMEBODY
    @rule(who=WHO, method=st.sampled_from(RUNS), answer=ANSWERS)
    def run_at_once(self, who: int, method: str, answer: Answer) -> None:
        """A client asks for a run, and the NPU works; a free one gets to the middle of the run."""
        if client := self._sender(who):
            self._request(client, client.run(method, answer), None)
            for _ in range(2):
                if self.thread.busy or len(self.thread):
                    self.thread.go()

    @SOMEBODY
    @rule(who=WHO, method=st.sampled_from(["rkllm.init"] * 4 + ["rkllm.destroy"]), cut=CUTS)
    def call(self, who: int, method: str, cut: int | None) -> None:
        """A client loads a model, or unloads it."""
        params = [{"model_path": "m"}] if method == "rkllm.init" else None
        if client := self._sender(who):
            self._request(client, client.ask(method, params), cut)

    @SOMEBODY
    @rule(who=WHO, cut=CUTS)
    def abort(self, who: int, cut: int | None) -> None:
        """A client aborts the run under way, as in C."""
        if client := self._sender(who):
            self._request(client, client.ask("rkllm.abort"), cut)

    def _request(self, client: Client, payload: bytes, cut: int | None) -> None:
        """Send a request; check that it is refused at once exactly when it must be."""
        client.send_rest()
        asked = client.asked[len(client.asked)]
        was_prompt, refusal = client.is_prompt, self._is_to_be_refused(client, asked)
        client.send(payload, asked, cut=cut)
        if was_prompt and client.is_prompt:
            code = (asked.answer or {}).get("error", {}).get("code")
            assert (code == BUSY) == refusal, (asked, refusal)

    def _is_to_be_refused(self, client: Client, asked: Asked) -> bool:
        others = [one for one in client.open() if one is not asked]
        if sum(one.counted for one in others) >= LIMITS.max_requests and asked.counted:
            return True
        is_full = self.house.npu.status().queue_length >= QUEUE
        return asked.counted and is_full and not self.thread.idle

    @SOMEBODY
    @rule(who=WHO, cut=CUTS, data=st.data())
    def ping(self, who: int, cut: int | None, data: st.DataObject) -> None:
        """A client pings with an id that it has used: answered, or refused while that is open."""
        if client := self._sender(who):
            number = data.draw(st.sampled_from(sorted(client.asked)))
            client.again[number] += 1
            client.send_rest()
            client.send(client.message("server.ping", None, number), again=number, cut=cut)

    @SOMEBODY
    @rule(
        who=WHO,
        method=st.sampled_from(["server.ping", "nothing", "rkllm.run", "server.version"]),
        cut=CUTS,
    )
    def notify(self, who: int, method: str, cut: int | None) -> None:
        """A client sends a notification and gets no answer."""
        if client := self._sender(who):
            client.send(client.message(method, None, None), cut=cut)

    @SOMEBODY
    @rule(who=WHO, answer=ANSWERS)
    def batch(self, who: int, answer: Answer) -> None:
        """A client sends a batch that contains a run."""
        if client := self._sender(who):
            run = client.run("rkllm.run", answer)
            number = len(client.asked)
            client.asked[number].in_batch = True
            version = client.ask("server.version")
            client.asked[number + 1].in_batch = True
            members = [run, client.message("server.version", None, None), version]
            both = [client.asked[number], client.asked[number + 1]]
            client.send(b"[%b]" % b",".join(members), *both)

    @SOMEBODY
    @rule(who=WHO, by=st.sampled_from(["server.cancel", "$/cancelRequest"]), data=st.data())
    def cancel(self, who: int, by: str, data: st.DataObject) -> None:
        """A client cancels a number: its own request, another client's, or an unknown one.

        The ids are each client's own count, so that most of them are in use elsewhere, too.
        """
        client = self._sender(who)
        if client is None:
            return
        number = data.draw(st.sampled_from(self._numbers_in_use()))
        if number in client.asked:
            client.asked[number].cancelled = True
        client.send_rest()
        known, is_open = (
            client.is_prompt,
            number in client.asked and not client.asked[number].answer,
        )
        if by == "$/cancelRequest":
            client.send(client.message(by, {"id": number}, None))
            return
        payload = client.ask(by, {"id": number})
        asked = client.asked[len(client.asked)]
        asked.cancelled = number == len(client.asked)
        client.send(payload, asked)
        if known and client.is_prompt and not asked.cancelled:
            assert asked.answer["result"] == {"cancelled": is_open}

    def _numbers_in_use(self) -> list[int]:
        """Ids of open requests of any client, one that was used, and one that was not."""
        most = max(len(client.asked) for client in self.clients)
        is_open = [n for c in self.clients for n, asked in c.asked.items() if not asked.answer]
        return sorted({*is_open, 1, most + 1})

    @SOMEBODY
    @rule(who=WHO)
    def send_the_rest(self, who: int) -> None:
        """A client sends the rest of a partial message."""
        if client := self._sender(who):
            client.send_rest()

    @SOMEBODY
    @rule(who=WHO, happens=RARELY)
    def send_garbage(self, who: int, happens: bool) -> None:
        """Garbage costs one message with lines; with netstrings it ends the connection."""
        client = self._sender(who)
        if client and happens:
            client.send_rest()
            client.faults += 1
            client.messages += 1
            if client.kind is Kind.NETSTRINGS:
                client.broken = True
            client.transport.feed(b"garbage\n")

    @SOMEBODY
    @rule(who=WHO, happens=RARELY)
    def send_too_much(self, who: int, happens: bool) -> None:
        """A message beyond the limit."""
        client = self._sender(who)
        if client and happens:
            client.send_rest()
            client.faults += 1
            client.broken = True
            client.transport.feed(FRAMES[client.kind](b"[" + b" " * LIMITS.max_length))

    # Events of the daemon

    @precondition(lambda self: self.thread.busy or len(self.thread))
    @rule()
    def npu_goes_on(self) -> None:
        """A moment of the NPU: a call begins, a token, an error, the end."""
        self.thread.go()

    @precondition(lambda self: self.thread.calls)
    @rule()
    def npu_is_heard(self) -> None:
        """The reactor handles the calls from the thread."""
        self.thread.deliver()

    @precondition(lambda self: not self.thread.idle)
    @rule()
    def npu_ends_the_call(self) -> None:
        """The call ends, and all its results arrive."""
        if self.thread.busy or len(self.thread):
            self.thread.step()
        else:
            self.thread.deliver()

    @rule(seconds=st.sampled_from([0, 0, 0.5, 1, 6]))
    def time_passes(self, seconds: float) -> None:
        """Advance the clock by 0, by a moment, or beyond the unread timeout."""
        self.house.clock.advance(seconds)

    @precondition(lambda self: not self.stopping and self.clients)
    @rule(happens=RARELY, really=RARELY)
    def daemon_stops(self, happens: bool, really: bool) -> None:
        """The daemon stops as DaemonService stops it."""
        if happens and really:
            self.stopping = True
            closed = self.house.npu.close()
            self.house.factory.close_all().addCallback(self.stopped.append)
            closed.addCallback(self.stopped.append)


def search(monkeypatch: pytest.MonkeyPatch, examples: int, steps: int) -> None:
    """Search with hypothesis for a sequence of events that breaks a promise."""
    monkeypatch.setattr(outbox, "WRITE_CHUNK", ROOM)
    monkeypatch.setattr(outbox, "MAX_IN_TRANSPORT_BYTES", 2 * ROOM)
    run_state_machine_as_test(
        Server,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_everybody_is_served_whatever_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's docstring lists the promises."""
    search(monkeypatch, 150, 50)
