"""A refused message is freed after its answer, without the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from memory_client import (
    FakeMethod,
    Flush,
    MemoryClient,
    Pending,
    SubtractParams,
    make_factory,
    subtract,
)
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from rkllm_twisted.errors import InvalidParams, RPCError
from rkllm_twisted.interfaces import ICall
from rkllm_twisted.rpc.conversation import Conversation
from rkllm_twisted.wire.messages import Batch, Malformed, Notification, Request


class Params(dict[str, object]):
    """Params that a weak reference can watch."""


def clean(failure: Failure) -> None:
    """Do the work of Failure.cleanFailure, which pytest-twisted disables."""
    vars(failure).update(tb=None, _frames=[])
    failure.value.__traceback__ = None


@pytest.fixture
def no_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Disable the garbage collector, so that cycles stay."""
    monkeypatch.setattr(Failure, "cleanFailure", clean)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def raises(call: ICall) -> object:
    """Refuse, deep inside, with the params in the frames."""
    params = call.params

    def inner() -> object:
        raise InvalidParams(f"No good: {len(params)}.", {"parameter": "x"})

    return inner()


def raises_from(call: ICall) -> object:
    """Refuse because of another error."""
    params = call.params
    try:
        return params["missing"]
    except KeyError as error:
        raise InvalidParams("It is missing.") from error


async def awaits(call: ICall) -> object:
    """Refuse in a coroutine."""
    return raises(call)


def fails(call: ICall) -> Deferred[Any]:
    """Refuse in a Deferred."""
    try:
        raises(call)
    except RPCError:
        return fail()
    raise AssertionError


def crashes(call: ICall) -> object:
    """Fail with the daemon's own fault."""
    params = call.params
    return params["missing"]


def has_no_json_form(call: ICall) -> object:
    """Answer with a value that has no JSON form."""
    return [call.params, object()]


def refuses_without_json_form(call: ICall) -> object:
    """Refuse with data that has no JSON form."""
    raise InvalidParams("No.", {"parameter": [call.params, object()]})


METHODS = [
    FakeMethod("raises", raises),
    FakeMethod("raises_from", raises_from),
    FakeMethod("awaits", awaits),
    FakeMethod("fails", fails),
    FakeMethod("crashes", crashes),
    FakeMethod("has_no_json_form", has_no_json_form),
    FakeMethod("refuses_without_json_form", refuses_without_json_form),
    FakeMethod("subtract", subtract, SubtractParams),
    FakeMethod("streams", streams=True),
    FakeMethod("wait", Pending()),
]
REFUSED = [method.name for method in METHODS if method.name not in ("wait", "streams")]
Make = Callable[[str, Any], Any]
AS = {
    "request": lambda name, params: Request(b"1", name, params),
    "notification": lambda name, params: Notification(name, params),
    "batch": lambda name, params: Batch((Request(b"1", name, params), Notification(name, params))),
}


def is_freed(
    conversation: Conversation, make: Make, name: str, flush: Callable[[], object] = lambda: None
) -> bool:
    """Check that the params are freed once the message is answered."""
    params = Params(x=[1.0] * 10)
    watched = weakref.ref(params)
    conversation.take(make(name, params), 100)
    del params
    flush()
    return watched() is None


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("form", AS)
@pytest.mark.parametrize("name", [*REFUSED, "unknown"])
def test_a_refused_messages_params_are_freed(
    name: str, form: str, flush_logged_errors: Flush
) -> None:
    """The methods refuse in different ways."""
    talk = MemoryClient(METHODS)
    assert is_freed(talk.protocol.conversation, AS[form], name, flush_logged_errors)


@pytest.mark.usefixtures("no_collector")
def test_what_a_full_connection_refuses_is_freed() -> None:
    """The errors are Busy and an id that is in use."""
    talk = MemoryClient(factory=make_factory(METHODS, max_requests=1))
    conversation = talk.protocol.conversation
    conversation.take(Request(b"1", "wait", None), 10)
    assert is_freed(conversation, AS["request"], "raises")
    assert is_freed(conversation, AS["notification"], "raises")


@pytest.mark.usefixtures("no_collector")
def test_a_stream_in_a_batch_is_freed() -> None:
    """The daemon refuses the stream before its method begins."""
    assert is_freed(MemoryClient(METHODS).protocol.conversation, AS["batch"], "streams")


@pytest.mark.usefixtures("no_collector")
def test_a_cancelled_calls_params_are_freed() -> None:
    """The params are freed once the call is answered."""
    params = Params(x=1)
    watched = weakref.ref(params)
    talk = MemoryClient([FakeMethod("wait", lambda call: Deferred())])
    conversation = talk.protocol.conversation
    conversation.take(Request(b"1", "wait", params), 10)
    del params
    assert conversation.cancel(1)
    assert watched() is None


@pytest.mark.usefixtures("no_collector")
def test_a_malformed_message_is_freed() -> None:
    """Its error is freed, too."""
    error = InvalidParams("No.")
    watched = weakref.ref(error)
    MemoryClient(METHODS).protocol.conversation.take(Malformed(error, b"1"), 10)
    del error
    assert watched() is None
