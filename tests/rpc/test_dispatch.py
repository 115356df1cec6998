"""Dispatch: methods, parameters, cancelling, streams, limits, failures."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec
import pytest
from memory_client import (
    FakeMethod,
    Flush,
    MemoryClient,
    Pending,
    code,
    dispatcher,
    make_factory,
    notification,
    request,
)
from twisted.internet.defer import CancelledError, Deferred, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import (
    Busy,
    Cancelled,
    InvalidParams,
    MethodNotFound,
    NoModel,
    RPCError,
    RuntimeRefused,
    ShuttingDown,
)
from rkllm_twisted.interfaces import ICall, IConversation, IRPCMethod, ITurn, IUncounted
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rpc.dispatch import CancelRequest, Dispatcher
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.testing import FakeRuntime, StepThread
from rkllm_twisted.values import FloatArray
from rkllm_twisted.wire import jsonrpc


@attrs.frozen
class TypedParams:
    """Parameters of every kind."""

    count: int
    name: str = "x"
    mode: str = attrs.field(default="a", validator=attrs.validators.in_(("a", "b")))
    sizes: list[int] = attrs.Factory(list)


typed = FakeMethod("typed", lambda call: attrs.asdict(call.params), TypedParams)


def test_the_fakes_and_the_real_ones_keep_to_the_interfaces() -> None:
    """zope.interface verifies both, so tests with the fakes are valid."""
    verifyObject(IRPCMethod, FakeMethod("a"))
    verifyObject(IRPCMethod, CancelRequest())
    verifyObject(IConversation, MemoryClient().protocol.conversation)
    calls: list[ICall] = []
    MemoryClient([FakeMethod("look", calls.append)]).ask(request(1, "look"))
    verifyObject(ICall, calls[0])


def test_a_method_is_given_its_surroundings() -> None:
    """The call has the NPU, the daemon, the conversation, and the parameters as sent."""
    calls: list[ICall] = []
    talk = MemoryClient([FakeMethod("look", calls.append)])
    talk.ask(request(1, "look", [1]), request(2, "look", {"a": 1}), request(3, "look"))
    assert [call.params for call in calls] == [[1], {"a": 1}, None]
    assert {(call.npu, call.daemon) for call in calls} == {("the npu", "the daemon")}
    assert {call.conversation for call in calls} == {talk.protocol.conversation}


async def later(call: ICall) -> object:
    return await succeed(call.params)


@pytest.mark.parametrize("work", [lambda c: c.params, lambda c: succeed(c.params), later])
def test_values_deferreds_and_coroutines_answer(work: object) -> None:
    """The client sees no difference."""
    talk = MemoryClient([FakeMethod("m", work)])  # type: ignore[arg-type]
    assert talk.ask(request(1, "m", [5])) == [{"jsonrpc": "2.0", "id": 1, "result": [5]}]


def test_answers_to_synchronous_calls_keep_the_order() -> None:
    """The answers come in the order of the requests."""
    talk = MemoryClient([FakeMethod("m")])
    assert [a["id"] for a in talk.ask(*(request(i, "m") for i in range(20)))] == list(range(20))


@pytest.mark.parametrize(
    "params", [[3, "n"], {"name": "n", "count": 3}, {"count": 3, "name": "n", "sizes": []}]
)
def test_typed_parameters_by_position_and_by_name(params: object) -> None:
    """Omitted parameters have their defaults."""
    [answer] = MemoryClient([typed]).ask(request(1, "typed", params))
    assert answer["result"] == {"count": 3, "name": "n", "mode": "a", "sizes": []}


@pytest.mark.parametrize(
    ("params", "names", "sentence"),
    [
        (None, "count", "'count' is missing"),
        ({"name": "n"}, "count", "'count' is missing"),
        ([], "count", "'count' is missing"),
        (["3"], "count", "count: Expected `int`, got `str`"),
        ({"count": 1, "sizes": [1, "2"]}, "sizes", "sizes[1]: Expected `int`"),
        ({"count": 1, "colour": 2}, "colour", "there are: count, name, mode, sizes"),
        ([1, "n", "a", [], 5], 4, "too many; there are: count, name, mode, sizes"),
        ({"count": 1, "mode": "c"}, None, "'mode' must be in ('a', 'b')"),
        ([True], "count", "Expected `int`, got `bool`"),
        ([1.5], "count", "Expected `int`, got `float`"),
    ],
)
def test_wrong_parameters_are_named(params: object, names: object, sentence: str) -> None:
    """The message says what the method expects."""
    [answer] = MemoryClient([typed]).ask(request(1, "typed", params))
    assert code(answer) == InvalidParams.code
    assert sentence in answer["error"]["message"]
    assert answer["error"].get("data", {}).get("parameter") == names


def test_an_unknown_method_is_named() -> None:
    """The error cuts a long name."""
    [answer] = MemoryClient([]).ask(request(1, "x" * 10_000))
    assert code(answer) == -32601
    assert answer["error"]["data"] == {"method": "x" * 100}


def test_the_error_for_an_unknown_method_is_kept_and_complete() -> None:
    """A wrong program asks again and again: the answer is the same, apart from the id."""
    talk = MemoryClient([])
    answers = talk.ask(*(request(number, "rkllm.nothing") for number in range(3)))
    wanted = MethodNotFound.named("rkllm.nothing", dispatcher([]).methods)
    for number, answer in enumerate(answers):
        assert answer == json.loads(jsonrpc.error(b"%d" % number, wanted))
    assert talk.ask(request(5, "other"))[0]["error"]["data"] == {"method": "other"}


def test_kept_errors_do_not_grow_with_the_names() -> None:
    """A client may send any number of names, each of any length."""
    not_found = dispatcher([]).not_found
    for number in range(1000):
        not_found(f"name.{number}")
    assert not_found.cache_info().currsize == 256


def raise_(error: Exception) -> object:
    raise error


@pytest.mark.parametrize(
    "error", [NoModel("Load one."), RuntimeRefused("No.", {"status_code": -1})]
)
def test_an_rpc_error_is_told_as_it_is(error: NoModel | RuntimeRefused) -> None:
    """The method raises the error or returns a Deferred that fails."""
    talk = MemoryClient([FakeMethod("m", lambda _: raise_(error))])
    [answer] = talk.ask(request(1, "m"))
    assert code(answer) == error.code
    assert answer["error"]["message"] == error.message
    assert answer["error"].get("data") == error.data


def test_a_fault_is_logged_once_and_told_as_a_number(flush_logged_errors: Flush) -> None:
    """The client sees neither its text nor a path."""
    talk = MemoryClient([FakeMethod("m", lambda _: raise_(ZeroDivisionError("/etc/secret")))])
    first, second = talk.ask(request(1, "m"), request(2, "m"))
    assert code(first) == -32603
    assert first["error"]["message"] == "Internal error 1; see the daemon's log."
    assert "2" in second["error"]["message"]
    assert len(flush_logged_errors(ZeroDivisionError)) == 2


@pytest.mark.parametrize("value", [object(), b"bytes", "\ud800", FloatArray(b"1234", (7,))])
def test_a_result_without_json_form_is_a_fault(value: object, flush_logged_errors: Flush) -> None:
    """The client gets an error, not silence."""
    [answer] = MemoryClient([FakeMethod("m", lambda _: value)]).ask(request(1, "m"))
    assert code(answer) == -32603
    assert flush_logged_errors(TypeError, ValueError)


def test_an_errors_data_without_json_form_is_a_fault(flush_logged_errors: Flush) -> None:
    """The client is answered nevertheless."""
    bad = NoModel("No.", {"x": object()})
    [answer] = MemoryClient([FakeMethod("m", lambda _: raise_(bad))]).ask(request(1, "m"))
    assert code(answer) == -32603
    assert flush_logged_errors(TypeError)


def test_a_notification_is_worked_on_and_never_answered(flush_logged_errors: Flush) -> None:
    """The notifications stream a result, are refused, or raise an exception."""
    calls: list[ICall] = []

    def work(call: ICall) -> object:
        calls.append(call)
        call.stream("partial")
        raise {"rpc": NoModel("No."), "bug": KeyError("k")}[call.params[0]]

    talk = MemoryClient([FakeMethod("m", work, streams=True)])
    assert talk.ask(*(notification("m", [p]) for p in ("rpc", "bug")), notification("n")) == []
    assert len(calls) == 2
    assert len(flush_logged_errors(KeyError)) == 1


def streaming() -> tuple[MemoryClient, Pending]:
    pending = Pending()
    methods = [FakeMethod("run", pending, streams=True), configure, FakeMethod("ping")]
    return MemoryClient(methods), pending


configure = FakeMethod(
    "server.configure", lambda call: call.conversation.configure(call.params or {})
)


def test_a_stream_is_responses_at_first() -> None:
    """Each response has the request's id as sent; the last one has the method's result."""
    talk, pending = streaming()
    talk.send(b'{"jsonrpc":"2.0","id":1.0,"method":"run"}')
    pending.calls[0].stream({"text": "a"})
    pending.calls[0].stream({"text": "b"})
    pending.works[0].callback({"text": None})
    assert talk.replies() == [
        b'{"jsonrpc":"2.0","id":1.0,"result":{"text":"a"}}',
        b'{"jsonrpc":"2.0","id":1.0,"result":{"text":"b"}}',
        b'{"jsonrpc":"2.0","id":1.0,"result":{"text":null}}',
    ]


def test_a_stream_as_notifications() -> None:
    """The notifications are numbered without gaps and precede the one response."""
    talk, pending = streaming()
    talk.ask(request(0, "server.configure", {"stream": "notifications"}), request("r", "run"))
    for text in "ab":
        pending.calls[0].stream(text)
    pending.works[0].callback("end")
    *parts, last = talk.answers()
    assert parts == [
        notification("rkllm.result", {"id": "r", "seq": seq, "result": text})
        for seq, text in enumerate("ab")
    ]
    assert last == {"jsonrpc": "2.0", "id": "r", "result": "end"}


def test_a_stream_keeps_the_form_that_it_began_with() -> None:
    """A new setting does not change a stream that has begun."""
    talk, pending = streaming()
    talk.ask(request(1, "run"), request(2, "server.configure", {"stream": "notifications"}))
    pending.calls[0].stream("a")
    assert talk.answers() == [{"jsonrpc": "2.0", "id": 1, "result": "a"}]


def test_nothing_is_streamed_after_the_answer() -> None:
    """The same holds after the client has left."""
    talk, pending = streaming()
    talk.ask(request(1, "run"), request(2, "run"))
    pending.works[0].callback(None)
    talk.replies()
    pending.calls[0].stream("late")
    talk.vanish()
    pending.calls[1].stream("later")
    assert talk.raw() == b""


def test_floats_are_streamed_in_the_chosen_form() -> None:
    """Each connection chooses its own form."""
    talk, pending = streaming()
    talk.ask(request(0, "server.configure", {"floats": "base64"}), request(1, "run"))
    pending.calls[0].stream(FloatArray(b"\0\0\x80?", (1,)))
    [answer] = talk.answers()
    assert answer["result"] == {"base64": "AACAPw==", "dtype": "<f4", "shape": [1]}


def test_settings_are_answered_with_all_of_them() -> None:
    """Another connection keeps its own settings."""
    talk, _ = streaming()
    [answer] = talk.ask(request(1, "server.configure", {"floats": "base64"}))
    assert answer["result"] == {"stream": "responses", "floats": "base64"}
    other = MemoryClient(factory=talk.factory)
    [answer] = other.ask(request(1, "server.configure"))
    assert answer["result"] == {"stream": "responses", "floats": "json"}


@pytest.mark.parametrize(
    ("settings", "names"), [({"stream": "x"}, "stream"), ({"colour": "red"}, "colour")]
)
def test_a_wrong_setting_is_named_and_changes_nothing(settings: object, names: str) -> None:
    """The error's data has the setting's name."""
    talk, _ = streaming()
    [answer] = talk.ask(request(1, "server.configure", settings))
    assert code(answer) == InvalidParams.code
    assert answer["error"]["data"] == {"parameter": names}
    assert talk.protocol.conversation.settings.stream == "responses"


def test_a_streaming_method_is_refused_in_a_batch() -> None:
    """The other members of the batch are answered."""
    talk, pending = streaming()
    batch = [request(1, "run"), request(2, "ping"), notification("run")]
    [[refused, answered]] = talk.ask(batch)
    assert code(refused) == -32600
    assert "rkllm.run" in refused["error"]["message"]
    assert answered["id"] == 2
    assert pending.calls == []


def test_a_batch_is_answered_in_one_when_all_are_done() -> None:
    """The answers are in the order of the batch's members."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending), FakeMethod("ping")])
    assert talk.ask([request(1, "wait"), request(2, "ping"), request(3, "wait")]) == []
    pending.works[1].callback("c")
    assert talk.answers() == []
    pending.works[0].callback("a")
    [answers] = talk.answers()
    assert [answer["id"] for answer in answers] == [1, 2, 3]


CANCELS = {
    "notification": notification("$/cancelRequest", {"id": 7}),
    "request": request(8, "$/cancelRequest", {"id": 7}),
    "other spelling": notification("$/cancelRequest", {"id": 7.0}),
}


@pytest.mark.parametrize("how", CANCELS)
def test_a_cancelled_request_is_answered_and_its_work_ended(how: str) -> None:
    """The others go on."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    first, *rest = talk.ask(request(7, "wait"), request(9, "wait"), CANCELS[how])
    assert first["id"] == 7
    assert code(first) == Cancelled.code
    assert [answer["result"] for answer in rest] == [{"cancelled": True}] * (how == "request")
    assert pending.cancelled == 1
    pending.works[1].callback("fine")
    assert [answer["id"] for answer in talk.answers()] == [9]


@pytest.mark.parametrize("raw", [b'"a"', b"null", b"12345678901234567890123", b"1.5", b'"\\u00e9"'])
def test_any_id_can_be_cancelled(raw: bytes) -> None:
    """The ids include null, a fraction, and a number beyond 64 bits."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.send(b'{"jsonrpc":"2.0","id":%b,"method":"wait"}' % raw)
    talk.send(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%b}}' % raw)
    [reply] = talk.replies()
    assert reply.startswith(b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32800,' % raw)


@pytest.mark.parametrize("foreign", [8, "7", True, None, [7], {"a": 7}])
def test_cancelling_something_else_does_nothing(foreign: object) -> None:
    """The ids are different, of another type, or missing."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.ask(request(7, "wait"), request(1, "wait"))
    assert not talk.protocol.conversation.cancel(foreign)
    assert pending.cancelled == 0


def test_cancelling_is_only_for_ones_own_requests() -> None:
    """Another client with the same id goes on."""
    pending = Pending()
    mine = MemoryClient([FakeMethod("wait", pending)])
    theirs = MemoryClient(factory=mine.factory)
    theirs.ask(request(1, "wait"))
    [answer] = mine.ask(request(2, "$/cancelRequest", {"id": 1}))
    assert answer["result"] == {"cancelled": False}
    assert pending.cancelled == 0


def test_cancelling_is_a_race_that_nobody_loses() -> None:
    """The request has just been answered, or is cancelled twice."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.ask(request(1, "wait"))
    pending.works[0].callback("done")
    assert talk.answers()[0]["result"] == "done"
    assert talk.ask(notification("$/cancelRequest", {"id": 1})) == []
    talk.ask(request(2, "wait"))
    assert len(talk.ask(*[notification("$/cancelRequest", {"id": 2})] * 2)) == 1


def test_work_that_fails_as_cancelled_is_told_so() -> None:
    """The client did not cancel it."""
    talk = MemoryClient([FakeMethod("m", lambda _: raise_(CancelledError()))])
    [answer] = talk.ask(request(1, "m"))
    assert code(answer) == Cancelled.code


def test_a_request_is_under_way_once_its_method_waits() -> None:
    """Before that, it cannot be cancelled."""
    pending = Pending()

    def work(call: ICall) -> Deferred[object]:
        assert not call.conversation.cancel(1)
        return pending(call)

    talk = MemoryClient([FakeMethod("m", work)])
    assert talk.ask(request(1, "m")) == []
    assert talk.protocol.conversation.cancel(1)
    assert pending.cancelled == 1


def test_what_begins_while_its_client_leaves_is_cancelled() -> None:
    """No client is left to receive its result."""
    pending = Pending()

    def work(call: ICall) -> Deferred[object]:
        call.conversation.close()  # type: ignore[attr-defined]
        return pending(call)

    assert MemoryClient([FakeMethod("m", work)]).ask(request(1, "m")) == []
    assert pending.cancelled == 1


def test_a_bad_canceller_costs_only_its_own_request(flush_logged_errors: Flush) -> None:
    """The others are cancelled when the client leaves."""
    pending = Pending()
    bad: Deferred[object] = Deferred(lambda _: raise_(ZeroDivisionError()))  # type: ignore[arg-type,return-value]
    talk = MemoryClient([FakeMethod("bad", lambda _: bad), FakeMethod("wait", pending)])
    talk.ask(request(1, "bad"), request(2, "wait"))
    talk.vanish()
    assert pending.cancelled == 1
    assert flush_logged_errors(ZeroDivisionError)


def test_a_client_that_leaves_cancels_everything() -> None:
    """Requests, notifications and batches are cancelled, and no answer is sent."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.ask(request(1, "wait"), notification("wait"), [request(2, "wait")])
    talk.vanish()
    assert pending.cancelled == 3
    assert talk.raw() == b""


def test_nothing_begins_once_the_connection_is_closed() -> None:
    """The rest of a batch does not begin, either."""
    works: list[ICall] = []
    leave = FakeMethod("leave", lambda call: call.conversation.close())  # type: ignore[attr-defined]
    talk = MemoryClient([leave, FakeMethod("count", works.append)])
    assert talk.ask([request(1, "leave"), request(2, "count"), notification("count")]) == []
    assert works == []


def test_an_id_under_way_is_refused_and_the_first_goes_on() -> None:
    """The id can be used again after the answer."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    [answer] = talk.ask(request(1, "wait"), request(1, "wait"))
    assert code(answer) == -32600
    pending.works[0].callback("first")
    assert [a["result"] for a in talk.answers()] == ["first"]
    assert talk.ask(request(1, "wait")) == []
    assert len(pending.works) == 2


def test_too_many_requests_under_way_are_refused_at_once() -> None:
    """The limit is eight per client; notifications count, finished requests do not."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending), FakeMethod("ping")])
    assert talk.ask(*(request(i, "wait") for i in range(7)), notification("wait")) == []
    [answer] = talk.ask(request(99, "wait"))
    assert code(answer) == Busy.code
    assert answer["error"]["data"] == {"queue_length": 8}
    assert talk.ask(notification("wait")) == []
    assert len(pending.works) == 8
    assert MemoryClient(factory=talk.factory).ask(request(1, "wait")) == []
    pending.works[0].callback(None)
    assert [a["id"] for a in talk.ask(request(99, "wait"))] == [0]


@implementer(IUncounted)
class Uncounted(FakeMethod):
    """A method that ends work or reports on it."""


def test_what_ends_or_looks_at_work_always_gets_through() -> None:
    """A full connection can still be emptied."""
    methods = [FakeMethod("wait", Pending()), Uncounted("look")]
    talk = MemoryClient(factory=make_factory(methods, max_requests=1))
    talk.ask(request(1, "wait"))
    [answer] = talk.ask(request(2, "look"))
    assert "result" in answer
    [cancelled, _] = talk.ask(request(3, "$/cancelRequest", {"id": 1}))
    assert cancelled["id"] == 1


def test_the_methods_that_end_or_look_at_work_are_marked() -> None:
    """They are methods of the daemon and of the protocol."""
    marked = Dispatcher(find_methods(), None, None).uncounted  # type: ignore[arg-type]
    assert marked == {
        "$/cancelRequest",
        "rkllm.abort",
        "rkllm.is_running",
        "rkllm.pause",
        "server.cancel",
        "server.ping",
        "server.status",
    }


class NPUClient:
    """A connection whose method makes two runs in one turn of a real NPU.

    :ivar during: called with each token of the first run.
    :ivar between: called after it.
    """

    def __init__(self) -> None:
        self.runtime, self.thread = FakeRuntime(), StepThread()
        self.runtime.load("m")
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread)
        self.talk = MemoryClient([FakeMethod("runs", self._begin)])
        self.during = self.between = lambda: None

    def _begin(self, call: ICall) -> object:
        return self.npu.perform(self._runs, call.conversation)

    def _runs(self, turn: ITurn) -> None:
        prepared = turn.prepare("rkllm_run", [{"prompt_input": "hi"}])
        turn.perform(prepared, lambda _: self.during())
        self.between()
        turn.perform(prepared, lambda _: None)


@pytest.mark.parametrize("when", ["queued", "during", "between"])
def test_a_cancel_makes_one_error(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """The NPU ends the work as any Deferred is cancelled; the error is made with the answer."""
    made: list[RPCError] = []
    answers: list[Any] = []
    init = RPCError.__init__

    def count(self: RPCError, *details: Any) -> None:
        made.append(self)
        init(self, *details)

    def cancel() -> None:
        if not answers:
            answers.extend(rig.talk.ask(notification("$/cancelRequest", {"id": 1})))

    rig = NPUClient()
    monkeypatch.setattr(RPCError, "__init__", count)
    if when == "queued":
        rig.npu.perform(lambda _: cancel(), "another client")
    else:
        setattr(rig, when, cancel)
    rig.talk.ask(request(1, "runs"))
    rig.thread.run()
    assert [code(answer) for answer in answers] == [Cancelled.code]
    assert [type(error) for error in made] == [Cancelled]


def test_an_error_of_cancelled_work_is_dropped() -> None:
    """The request has its answer already."""
    work = FakeMethod("wait", lambda _: Deferred(lambda work: work.errback(NoModel("No model."))))
    talk = MemoryClient([work])
    talk.ask(request(1, "wait"))
    answers = talk.ask(notification("$/cancelRequest", {"id": 1}))
    assert [code(answer) for answer in answers] == [Cancelled.code]


def test_a_fault_of_cancelled_work_is_logged(flush_logged_errors: Flush) -> None:
    """The request already has its answer, but the daemon logs its own fault."""
    talk = MemoryClient(
        [FakeMethod("wait", lambda _: Deferred(lambda work: work.errback(ZeroDivisionError())))]
    )
    talk.ask(request(1, "wait"))
    [answer] = talk.ask(notification("$/cancelRequest", {"id": 1}))
    assert code(answer) == Cancelled.code
    assert len(flush_logged_errors(ZeroDivisionError)) == 1


def test_the_replies_to_a_batch_are_limited() -> None:
    """Requests beyond the limit are refused and not called; notifications are called."""
    called: list[object] = []

    def work(call: ICall) -> str:
        called.append(call)
        return "x" * 400

    talk = MemoryClient(factory=make_factory([FakeMethod("big", work)], max_batch_reply=1000))
    members = [request(number, "big") for number in range(10)]
    [answers] = talk.ask([*members, notification("big")])
    assert [code(answer) if "error" in answer else 0 for answer in answers] == [
        *[0] * 3,
        *[Busy.code] * 7,
    ]
    assert [answer["id"] for answer in answers] == list(range(10))
    assert answers[-1]["error"]["data"] == {"max_batch_reply": 1000}
    assert len(called) == 4


def test_at_shutdown_everything_is_answered() -> None:
    """Each request gets one ShuttingDown error; then the connection closes."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.ask(request(1, "wait"), [request(2, "wait"), request(3, "wait")], notification("wait"))
    talk.protocol.shut_down()
    single, batch = talk.answers()
    assert [code(answer) for answer in (single, *batch)] == [ShuttingDown.code] * 3
    assert pending.cancelled == 4
    assert talk.closing


def test_a_fault_in_the_daemon_itself_is_answered(
    monkeypatch: pytest.MonkeyPatch, flush_logged_errors: Flush
) -> None:
    """The connection lives on."""
    talk = MemoryClient()
    with monkeypatch.context() as patch:
        patch.setattr("rkllm_twisted.wire.jsonrpc.parse", lambda _: raise_(MemoryError()))
        [answer] = talk.ask(request(1, "echo"))
    assert code(answer) == -32603
    assert flush_logged_errors(MemoryError)
    assert talk.ask(request(1, "echo"))[0]["result"] is None


def test_results_are_json_whatever_they_hold() -> None:
    """NaN leaves as null."""
    [reply] = MemoryClient([FakeMethod("m", lambda _: float("nan"))]).ask(request(1, "m"))
    assert reply["result"] is None
    assert msgspec.json.encode(reply)
