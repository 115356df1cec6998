"""The log has a line for each request: its contents, its secrets, and the limit on lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from memory_client import FakeMethod, MemoryClient, dispatcher, make_factory, notification, request
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, Logger, formatEvent, globalLogPublisher
from zope.interface import implementer

from rkllm_twisted.daemon.log_formats import FORMATS
from rkllm_twisted.errors import NoModel, NotAllowed
from rkllm_twisted.interfaces import IQuiet
from rkllm_twisted.rpc.access_log import LINE, LINES_PER_SECOND, AccessLog, LogEntry, RawJSON
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.testing import fake_result
from rkllm_twisted.values import Peer

PEER = Peer(7, 100, 1000, 10, (10,))
Lines = list[LogEvent]


def collected(wanted: Callable[[LogEvent], bool]) -> Iterator[Lines]:
    """The events of the access log."""
    events: Lines = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") == "rkllm.requests" and wanted(event):
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines about requests."""
    yield from collected(lambda event: not {"happened", "messages"} & event.keys())


@pytest.fixture
def all_lines() -> Iterator[Lines]:
    """All events of the access log."""
    yield from collected(lambda event: True)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fields(event: LogEvent) -> dict[str, Any]:
    """An event's own fields."""
    return {name: value for name, value in event.items() if not name.startswith("log_")}


def talk(access_log: AccessLog, *methods: FakeMethod) -> MemoryClient:
    """A connection with an access log."""
    factory = make_factory()
    made = dispatcher(methods)
    made.access_log = access_log
    return MemoryClient(factory=RPCFactory(made, factory.state.reactor, has_gone=lambda _: False))


def test_a_line_has_client_user_method_id_duration_and_outcome(lines: Lines) -> None:
    """The line is written when the request is answered."""
    clock = Clock()
    work: Deferred[Any] = Deferred()
    client = talk(AccessLog(clock=clock), FakeMethod("do.it", lambda _: work))
    client.ask(request("a b", "do.it"))
    assert lines == []
    clock.now += 1.25
    work.callback(1)
    [line] = lines
    assert fields(line) == {
        "client": 1,
        "uid": None,
        "method": "do.it",
        "id": '"a b"',
        "duration": 1.25,
        "outcome": "ok",
    }
    assert formatEvent(line) == 'client 1 (uid None): do.it, id "a b": ok after 1.250 s'
    assert line["log_level"].name == "info"


def refusing(_: object) -> object:
    raise NoModel("No model.")


def test_an_error_has_its_name_and_code(lines: Lines) -> None:
    """The cases are a request, a notification, and an unknown method."""
    client = talk(AccessLog(), FakeMethod("bad", refusing))
    client.ask(request(1, "bad"), notification("bad"), request(2, "no.such"))
    assert [(e["id"], e["outcome"], e["code"]) for e in lines] == [
        ("1", "NoModel", -32001),
        (None, "NoModel", -32001),
        ("2", "MethodNotFound", -32601),
    ]


def test_who_leaves_has_cancelled(lines: Lines) -> None:
    """The request of a client that leaves has a line, too."""
    client = talk(AccessLog(), FakeMethod("slow", lambda _: Deferred()))
    client.ask(request(1, "slow"))
    client.vanish()
    assert [line["outcome"] for line in lines] == ["Cancelled"]


@pytest.mark.parametrize("perf", [{"generate_tokens": 12}, None])
def test_a_run_has_its_tokens(lines: Lines, perf: Any) -> None:
    """The number is the runtime's count, or else the number of streamed tokens."""

    def stream(call: Any) -> Any:
        for number in range(3):
            call.stream(number)
        return {**fake_result(None, 2, 3), "perf": perf}

    client = talk(AccessLog(), FakeMethod("run", stream, streams=True), FakeMethod("other"))
    client.ask(request(1, "run"), request(2, "other"))
    assert lines[0]["tokens"] == (12 if perf else 3)
    assert formatEvent(lines[0]).endswith(f", {lines[0]['tokens']} tokens")
    assert "tokens" not in lines[1]


@pytest.mark.parametrize(
    "params",
    [
        [{"prompt_input": "my secret"}],
        {"rkllm_input": [{"prompt_input": "my secret"}]},
        {"rkllm_input": {"multimodal_input": {"prompt": "my secret", "n_image": 1}}},
    ],
)
def test_prompts_are_logged_only_if_that_is_asked_for(lines: Lines, params: Any) -> None:
    """The parameters have the prompt in different places."""
    for prompts in (False, True):
        client = talk(AccessLog(prompts=prompts), FakeMethod("run"), FakeMethod("bad", refusing))
        client.ask(request(1, "run", params), request(2, "bad", params))
    assert [line.get("prompt") for line in lines] == [None, None, "my secret", "my secret"]
    said = [formatEvent(line) for line in lines]
    assert ["my secret" in text for text in said] == [False, False, True, True]
    assert "secret" not in repr(lines[:2])


def test_what_only_looks_is_for_debugging(lines: Lines) -> None:
    """A successful call has the level "debug", and a refused one has "info"."""

    @implementer(IQuiet)
    class Looks(FakeMethod):
        pass

    for level in ("info", "debug"):
        client = talk(AccessLog(level), Looks("server.ping"), Looks("server.status", refusing))
        client.ask(request(1, "server.ping"), request(2, "server.status"))
    assert [(line["method"], line["log_level"].name) for line in lines] == [
        ("server.status", "info"),
        ("server.ping", "debug"),
        ("server.status", "info"),
    ]


def test_the_methods_that_only_look_are_marked() -> None:
    """The success of these methods changes no state that clients share."""
    quiet = {name for name, method in find_methods().items() if IQuiet.providedBy(method)}
    assert quiet == {
        "rkllm.get_constants",
        "rkllm.is_running",
        "rpc.discover",
        "server.configure",
        "server.ping",
        "server.status",
        "server.version",
        "system.listMethods",
        "system.methodHelp",
        "system.methodSignature",
    }


def test_a_refusal_is_a_warning(lines: Lines) -> None:
    """The level "warn" logs a refusal and no other request."""

    def not_allowed(_: object) -> object:
        raise NotAllowed("No.")

    client = talk(AccessLog("warn"), FakeMethod("bad", refusing), FakeMethod("no", not_allowed))
    client.ask(request(1, "bad"), request(2, "no"))
    assert [(line["method"], line["log_level"].name) for line in lines] == [("no", "warn")]


def test_a_flood_of_requests_does_not_fill_the_disk(lines: Lines) -> None:
    """Lines beyond the limit per second are counted, and the count is logged."""
    clock = Clock()
    access_log = AccessLog(clock=clock)

    def ask(count: int) -> None:
        for _ in range(count):
            access_log.end(PEER, LogEntry("x", b"1", clock()))

    ask(LINES_PER_SECOND + 50)
    assert len(lines) == LINES_PER_SECOND
    clock.now += 1
    ask(1)
    assert len(lines) == LINES_PER_SECOND + 2
    assert lines[-2]["left_out"] == 50
    clock.now += 1
    ask(1)
    assert len(lines) == LINES_PER_SECOND + 3


def test_a_long_name_is_cut(lines: Lines) -> None:
    """A client can send a method's name of any length."""
    talk(AccessLog()).ask(request(1, "x" * 1000))
    assert lines[0]["method"] == "x" * 100


def test_coming_and_going_has_lines(all_lines: Lines) -> None:
    """A refused client is logged as a warning; the other lines need the level "info"."""
    for level in ("info", "warn"):
        access_log = AccessLog(level)
        access_log.opened(PEER, None)
        access_log.opened(PEER, NotAllowed("No."))
        access_log.closed(PEER, 3)
    assert [(formatEvent(line), line["log_level"].name) for line in all_lines] == [
        ("client 7 connected: pid 100, uid 1000, gid 10", "info"),
        ("client 7 turned away (-32005): pid 100, uid 1000, gid 10", "warn"),
        ("client 7 left after 3 messages", "info"),
        ("client 7 turned away (-32005): pid 100, uid 1000, gid 10", "warn"),
    ]


def test_who_comes_and_goes_all_the_time_does_not_fill_the_disk(all_lines: Lines) -> None:
    """One limit applies to all lines together."""
    access_log = AccessLog(clock=Clock())
    for _ in range(LINES_PER_SECOND):
        access_log.opened(PEER, None)
        access_log.closed(PEER, 0)
    assert len(all_lines) == LINES_PER_SECOND


def test_a_name_that_a_terminal_would_act_on_is_escaped(lines: Lines) -> None:
    """The text stays on one line; the event's field has the original name."""
    name = "x\x1b[31m\n\u202e\u2028y"
    talk(AccessLog()).ask(request(1, name))
    [line] = lines
    assert formatEvent(line).isprintable()
    assert "x\\x1b[31m\\n\\u202e\\u2028y" in formatEvent(line)
    assert line["method"] == name


def test_an_id_is_logged_as_it_was_sent(lines: Lines) -> None:
    """A number and a string that look alike are told apart."""
    talk(AccessLog()).ask(request(2, "nothing"), request("2", "nothing"))
    assert [line["id"] for line in lines] == ["2", '"2"']
    assert all(isinstance(line["id"], RawJSON) for line in lines)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("prompt", [None, "two\nlines", "{braces} in {text}", "ä\x1b\u202e", "模"])
def test_the_finished_line_is_what_the_events_text_gives(
    lines: Lines, form: str, prompt: str | None
) -> None:
    """The short cut changes no byte of a form of the log."""
    entry = LogEntry("a.method", b'"id"', 0.0, tokens=3, error=NoModel("x"), prompt=prompt)
    AccessLog(clock=Clock()).end(PEER, entry)
    [event] = lines
    without = {name: value for name, value in event.items() if name != LINE}
    assert FORMATS[form](event) == FORMATS[form](without)


def test_an_event_is_one_of_the_loggers(lines: Lines) -> None:
    """An observer of any program finds all that Twisted promises."""
    AccessLog().end(PEER, LogEntry("a.method", b"1", 0.0))
    [ours] = lines
    theirs: list[LogEvent] = []
    Logger("rkllm.requests", observer=theirs.append).info(ours["log_format"], **fields(ours))
    assert ours.keys() == {*theirs[0].keys(), LINE}
    for name in ("log_level", "log_namespace", "log_format", "log_source"):
        assert ours[name] == theirs[0][name]
    assert ours["log_logger"].namespace == "rkllm.requests"
    assert abs(ours["log_time"] - theirs[0]["log_time"]) < 60
