"""A bridge offers what its daemon can do, and keeps conversations apart."""

from __future__ import annotations

from typing import Any

import pytest
from fleet_rig import FleetRig, model_file

from rkllm_twisted.errors import (
    Busy,
    InvalidParams,
    MethodNotFound,
    NoModel,
    RuntimeCrashed,
    ShuttingDown,
)
from rkllm_twisted.fleet.values import Role, board_uri, model_uri
from rkllm_twisted.fleet_service.board_runs import HISTORY_RUNS, RUNS
from rkllm_twisted.fleet_service.conversations import MAX_CONVERSATIONS
from rkllm_twisted.fleet_service.fleet_call import WITHOUT_TURN
from rkllm_twisted.fleet_service.history_mark import HistoryMark, mark_after, why_lost
from rkllm_twisted.fleet_service.published import has_changed, loaded_of, needs_load
from rkllm_twisted.interfaces import IAdministrative, INeedsModel
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.testing import Answer, Crash
from twisted.plugins import rkllm_methods

ENDLESS = Answer("and so on", endless=True, delay=0.1)


@pytest.fixture
def rig() -> FleetRig:
    """A fleet of one board."""
    return FleetRig(["b1"])


def offers(rig: FleetRig) -> list[str]:
    """The URIs that are offered."""
    return [offer.uri for offer in rig.result(rig.link.engine.list_offers())]


def outcome(waiting: Any) -> list[Any]:
    """What a Deferred fires with, in a list."""
    results: list[Any] = []
    waiting.addBoth(results.append)
    return results


CALL, RUN = board_uri("b1", "call"), board_uri("b1", "run")


def test_a_board_offers_its_model_while_it_is_loaded(rig: FleetRig) -> None:
    """Without one only administrators can reach it."""
    assert offers(rig) == [CALL, RUN, model_uri("tiny")]
    rig.result(rig.client().call("fleet.call", {"board": "b1", "method": "rkllm.destroy"}))
    rig.advance(0.6)
    assert offers(rig) == [CALL]
    load = [{"model_path": model_file("My-Other")}]
    call = {"board": "b1", "method": "rkllm.init", "params": load}
    rig.result(rig.client().call("fleet.call", call))
    rig.advance(0.6)
    assert offers(rig) == [CALL, RUN, "rkllm.model.my_other.run"]
    assert rig.front.line.boards["b1"].model == "My-Other"


def test_a_board_offers_nothing_while_its_daemon_is_gone(rig: FleetRig) -> None:
    """A board that fails at once would be free at all times, and draw every run."""
    rig.boards["b1"].stop_daemon()
    assert offers(rig) == [CALL]
    assert rig.front.line.boards["b1"].status["state"] == "away"


def test_a_daemon_that_comes_back_is_offered_again(rig: FleetRig) -> None:
    """What waits meanwhile waits on."""
    board = rig.boards["b1"]
    board.stop_daemon()
    run = outcome(rig.client().run("Hello"))
    rig.advance(0.2)
    assert not run
    board.start_daemon()
    rig.advance(2.0)
    assert run[0].text == "one two three four five"


def test_the_configured_model_is_loaded_at_the_start_and_after_a_crash() -> None:
    """Then the board offers it again."""
    rig = FleetRig([])
    rig.add("b1", model=None, configured=model_file("tiny"))
    rig.advance(1.5)
    assert RUN in offers(rig)
    rig.boards["b1"].daemon.answers["Crash"] = Answer("one two", then=Crash(), delay=0.1)
    with pytest.raises(RuntimeCrashed):
        rig.result(rig.client().run("Crash"), 0.5)
    rig.advance(2.0)
    assert RUN in offers(rig)
    assert rig.result(rig.client().run("Hello"), 1.0).text


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"state": "empty", "loads": 0, "problem": None}, True),
        ({"state": "empty", "loads": 1, "problem": "crashed"}, True),
        ({"state": "failed", "loads": 1, "problem": "crashed"}, True),
        ({"state": "empty", "loads": 1, "problem": None}, False),
        ({"state": "loading", "loads": 0, "problem": None}, False),
        ({"state": "loaded", "loads": 1, "problem": None}, False),
    ],
)
def test_a_model_that_somebody_has_unloaded_stays_unloaded(status: Any, expected: bool) -> None:
    """The bridge undoes crashes only."""
    assert needs_load(status) is expected


def test_an_encoder_that_is_loaded_later_changes_what_is_published() -> None:
    """The model's entry has the capability vision then."""
    bare = {"loads": 1, "vision": {"encoder": None}}
    seeing = {"loads": 1, "vision": {"encoder": {"path": "/e.rknn"}}}
    assert loaded_of(bare) != loaded_of(seeing)
    assert loaded_of({"loads": 1}) == loaded_of(bare)
    before = {"state": "loaded", "entry": {"capabilities": []}}
    assert has_changed(before, {**before, "entry": {"capabilities": ["vision"]}})


def test_a_second_run_is_refused_while_one_is_under_way(rig: FleetRig) -> None:
    """By either URI: the router counts each by itself."""
    rig.boards["b1"].daemon.answers["Long"] = ENDLESS
    caller = rig.router.engine("other", Role.FRONT)
    caller.join()
    long = caller.call(RUN, {"params": [{"prompt_input": "Long"}]})
    rig.advance(0.2)
    with pytest.raises(Busy) as caught:
        rig.result(caller.call(model_uri("tiny"), {"params": [{"prompt_input": "Hello"}]}))
    assert caught.value.data == {"board": "b1", "refused": "busy"}
    long.addErrback(lambda _: None)
    long.cancel()
    rig.advance(0.2)
    answer = caller.call(model_uri("tiny"), {"params": [{"prompt_input": "Hello"}]})
    assert rig.result(answer, 1.0)["board"] == "b1"


def test_two_fronts_share_the_boards() -> None:
    """A board that the other has taken is tried again; nothing is lost."""
    rig = FleetRig(["b1", "b2"])
    other, _ = rig.make_front("second")
    rig.advance(1.2)
    runs = [outcome(rig.client(front).run("Hello")) for front in (rig.front, other) * 3]
    rig.advance(2.6)
    assert [each[0].text for each in runs] == ["one two three four five"] * 6


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"method": "rkllm.init", "params": []}, MethodNotFound),
        ({"method": "server.sequence"}, MethodNotFound),
        ({"method": 7}, InvalidParams),
        ("Hello", InvalidParams),
        ({"method": "rkllm.run", "model": "other"}, NoModel),
    ],
)
def test_what_a_board_does_not_do_for_a_front(
    rig: FleetRig, payload: Any, error: type[Exception]
) -> None:
    """A front's key may run; it may not load."""
    with pytest.raises(error):
        rig.result(rig.link.engine.call(RUN, payload))


def test_a_board_leaves_in_order() -> None:
    """It offers nothing more, its run ends, and then it goes."""
    rig = FleetRig(["b1", "b2"])
    clients = [rig.client(), rig.client()]
    runs = [outcome(client.run("Hello")) for client in clients]
    rig.advance(0.2)
    stopped = outcome(rig.boards["b1"].stop())
    rig.settle()
    assert not stopped
    assert RUN not in offers(rig)
    late = [outcome(client.run("Hello")) for client in clients]
    rig.advance(0.6)
    assert stopped == [None]
    assert all(runs)
    rig.advance(1.5)
    assert all(late)
    assert not rig.front.line.boards["b1"].is_here


def test_a_front_stops_in_order(rig: FleetRig) -> None:
    """What waits is answered with -32802; what runs may end."""
    first, second = rig.client(), rig.client()
    runs = outcome(first.run("Hello")), outcome(second.run("Hello"))
    rig.advance(0.2)
    drained = outcome(rig.front.line.drain())
    rig.settle()
    [failure] = runs[1]
    assert failure.check(ShuttingDown)
    assert not drained
    rig.advance(1.0)
    assert runs[0][0].text
    assert drained == [None]


def test_as_many_connections_as_conversations_up_to_a_limit(rig: FleetRig) -> None:
    """The one that was used least recently is closed; its history is then lost, and it says so."""
    clients = [rig.client() for _ in range(MAX_CONVERSATIONS + 1)]
    rig.boards["b1"].daemon.answers["Quick"] = Answer("one")
    rig.result(clients[0].run("Quick", keep_history=1), 0.5)
    for client in clients[1:]:
        rig.result(client.run("Quick"), 0.5)
    conversations = rig.boards["b1"].service.bridge.conversations
    assert len(conversations) == MAX_CONVERSATIONS
    with pytest.raises(RuntimeCrashed, match="was closed"):
        rig.result(clients[0].run("Quick"), 0.5)


BEFORE = {"loads": 1, "crashes": 0, "runs": 4}
AFTER = {"loads": 1, "crashes": 0, "runs": 5}
FREE = {**AFTER, "running": None, "queue_length": 0}


@pytest.mark.parametrize(
    ("after", "is_marked"),
    [
        (AFTER, True),
        ({**AFTER, "runs": 6}, False),
        ({**AFTER, "runs": 4}, False),
        ({**AFTER, "loads": 2}, False),
        ({**AFTER, "crashes": 1}, False),
    ],
)
def test_a_run_is_marked_if_nothing_else_has_used_the_cache(after: Any, is_marked: bool) -> None:
    """Between the two looks at the daemon."""
    assert (mark_after("a", CALL, BEFORE, after) is not None) == is_marked


@pytest.mark.parametrize(
    ("conversation", "connection", "status", "why"),
    [
        ("a", CALL, FREE, None),
        ("b", CALL, FREE, "another run"),
        ("a", RUN, FREE, "another run"),
        ("a", None, FREE, "closed"),
        ("a", CALL, {**FREE, "runs": 6}, "another run"),
        ("a", CALL, {**FREE, "running": {"client": 1}}, "another run"),
        ("a", CALL, {**FREE, "queue_length": 1}, "another run"),
        ("a", CALL, {**FREE, "loads": 2}, "loaded again"),
        ("a", CALL, {**FREE, "crashes": 1}, "crashed"),
    ],
)
def test_why_a_history_is_lost(
    conversation: str, connection: str | None, status: Any, why: str | None
) -> None:
    """Only what nothing has touched is continued."""
    mark = HistoryMark("a", CALL, (1, 0, 5))
    found = why_lost(mark, conversation, connection, status)
    assert found is None if why is None else why in str(found)


def test_no_conversation_without_a_mark() -> None:
    """A bridge that has started again knows nothing."""
    assert why_lost(None, "a", CALL, FREE) is not None


def test_the_board_of_an_answer_is_in_it(rig: FleetRig) -> None:
    """For the log of the client."""
    raw = rig.result(rig.client().call("rkllm.run", [{"prompt_input": "Hello"}]), 1.0)
    assert raw["board"] == "b1"


#: Methods that need a model, or an encoder, and that a board does for its own clients only, and for
#: administrators.
OWN_ONLY = {"server.sequence", "vision.encode"}


def test_every_method_that_runs_a_model_is_a_boards() -> None:
    """A new one must be decided about."""
    methods = find_methods([getattr(rkllm_methods, name) for name in rkllm_methods.__all__])
    running = {
        name
        for name, method in methods.items()
        if INeedsModel.providedBy(method) and not IAdministrative.providedBy(method)
    }
    assert running <= RUNS | WITHOUT_TURN | OWN_ONLY
    assert {*HISTORY_RUNS} <= RUNS
