"""A front serves fake boards as a daemon serves its NPU."""

from __future__ import annotations

from typing import Any

import pytest
from fleet_rig import PACED, FleetRig, model_file
from twisted.internet.defer import Deferred

from rkllm_twisted.client import Client, connect
from rkllm_twisted.client_core.results import Result
from rkllm_twisted.errors import (
    Busy,
    InvalidParams,
    MethodNotFound,
    NoModel,
    RuntimeCrashed,
    RuntimeRefused,
)
from rkllm_twisted.fleet_service import line
from rkllm_twisted.fleet_service.boards import GRACE_S, RETURN_S
from rkllm_twisted.fleet_service.front_link import SETTLE_S
from rkllm_twisted.fleet_service.retries import Cause
from rkllm_twisted.inference.exact_reading import NOT_CONTINUED
from rkllm_twisted.testing import Answer, Crash

TEXT = "one two three four five"


def outcome(waiting: Any) -> list[Any]:
    """What a Deferred fires with, in a list."""
    results: list[Any] = []
    waiting.addBoth(results.append)
    return results


def asked(rig: FleetRig, method: str = "rkllm.run_async") -> dict[str, list[Any]]:
    """The prompts that each board's daemon got."""
    return {
        name: [call.params for call in board.daemon.calls if call.method == method]
        for name, board in rig.boards.items()
    }


def streamed(client: Client, prompt: str, **params: Any) -> tuple[list[Result], list[Any]]:
    """Begin a stream; what has come, and the error or nothing at its end."""
    came: list[Result] = []
    ended: list[Any] = []

    async def read() -> None:
        async for result in client.run_async(prompt, **params):
            came.append(result)  # noqa: PERF401 - the test looks at it meanwhile

    Deferred.fromCoroutine(read()).addBoth(ended.append)
    return came, ended


def test_a_run_on_a_free_board() -> None:
    """The client sees what a daemon would send."""
    rig = FleetRig()
    result = rig.result(rig.client().run("Hello"), 1.0)
    assert result.text == TEXT
    assert sum(len(calls) for calls in asked(rig).values()) == 1


def test_a_stream_comes_token_by_token() -> None:
    """The first token does not wait for the last."""
    rig = FleetRig()
    came, ended = streamed(rig.client(), "Hello")
    rig.advance(0.3)
    assert 0 < len(came) < 5
    rig.advance(0.5)
    assert "".join(each.text or "" for each in came) == TEXT
    assert ended == [None]


def test_nine_runs_on_three_boards_take_three_waves() -> None:
    """No board has two at once, and none is idle while one waits."""
    rig = FleetRig()
    client, others = rig.client(), [rig.client() for _ in range(8)]
    waiting = [outcome(one.run("Hello")) for one in (client, *others)]
    done = []
    for _ in range(100):
        rig.advance(0.02)
        done.append(sum(bool(each) for each in waiting))
    at = [next(i for i, count in enumerate(done) if count >= wave) * 0.02 for wave in (3, 6, 9)]
    assert at[0] == pytest.approx(0.6, abs=0.15)
    assert at[2] == pytest.approx(3 * at[0], abs=0.3)
    assert {name: len(calls) for name, calls in asked(rig).items()} == {"b1": 3, "b2": 3, "b3": 3}


def test_turns_go_round_the_clients() -> None:
    """A client with eight requests delays the one of another by one turn."""
    rig = FleetRig(["b1"])
    greedy, modest = rig.client(), rig.client()
    many = [outcome(greedy.run("Hello")) for _ in range(8)]
    rig.settle()
    one = outcome(modest.run("Hello"))
    rig.advance(2.1)
    assert one
    assert sum(bool(each) for each in many) == 2


def test_a_request_beyond_the_line_is_refused() -> None:
    """As with a daemon: -32002 at once."""
    rig = FleetRig(["b1"], ["--queue", "2"])
    clients = [rig.client() for _ in range(4)]
    waiting = [outcome(one.run("Hello")) for one in clients]
    rig.settle()
    [failure] = waiting[3]
    assert failure.check(Busy)
    assert failure.value.data == {"queue_length": 2}
    rig.advance(2.0)
    assert [each[0].text for each in waiting[:3]] == [TEXT] * 3


def test_a_long_line_is_decided_once_for_all_that_wait_for_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise each event of a board would cost as much as there are requests."""
    rig = FleetRig(["b1"])
    waiting = [outcome(rig.client().run("Hello")) for _ in range(6)]
    rig.settle()
    decided: list[Any] = []

    def choose(*args: Any) -> Any:
        decided.append(args)
        return really_choose(*args)

    really_choose = line.choose
    monkeypatch.setattr(line, "choose", choose)
    rig.front.line.go_on()
    assert len(rig.front.line) == 5
    assert len(decided) == 1
    rig.advance(4.0)
    assert all(waiting)


def test_a_client_that_cancels_ends_its_run() -> None:
    """The board is free for the next."""
    rig = FleetRig(["b1"], default=Answer("and so on", endless=True, delay=0.1))
    run = rig.client().run("Hello")
    outcome(run)
    rig.advance(0.3)
    run.cancel()
    rig.advance(0.5)
    assert not rig.front.line.under_way
    assert rig.boards["b1"].service.bridge.runs.under_way == 0
    rig.boards["b1"].daemon.answers["Again"] = PACED
    assert rig.result(rig.client().run("Again"), 1.0).text == TEXT


def test_a_request_that_waits_may_be_cancelled() -> None:
    """It never reaches a board."""
    rig = FleetRig(["b1"])
    first, second = outcome(rig.client().run("Hello")), rig.client().run("Never")
    outcome(second)
    rig.settle()
    second.cancel()
    rig.advance(1.5)
    assert first[0].text == TEXT
    assert len(asked(rig)["b1"]) == 1
    assert len(rig.front.line) == 0


def test_a_board_that_dies_before_the_first_token_costs_nothing() -> None:
    """The run is made once more, on another board."""
    rig = FleetRig(["b1", "b2"], default=Answer(TEXT, delay=0.5))
    run = outcome(rig.client().run("Hello"))
    rig.advance(0.1)
    [used] = [name for name, calls in asked(rig).items() if calls]
    rig.boards[used].crash()
    rig.advance(5.0)
    assert run[0].text == TEXT
    assert rig.front.line.figures.retries["board_gone"] == 1


@pytest.mark.parametrize("dies", ["board", "router"])
def test_a_board_that_dies_later_costs_the_answer(dies: str) -> None:
    """The error names the board, and how many tokens came; none comes twice."""
    rig = FleetRig(["b1", "b2"])
    came, ended = streamed(rig.client(), "Hello")
    rig.advance(0.3)
    before = len(came)
    [used] = [name for name, calls in asked(rig).items() if calls]
    if dies == "board":
        rig.boards[used].crash()
    else:
        rig.router.stop()
    rig.advance(2.0)
    [failure] = ended
    assert failure.check(RuntimeCrashed)
    assert failure.value.data == {"board": used, "tokens": before}
    assert len(came) == before
    assert rig.front.line.figures.lost == 1


def test_a_crash_of_the_runtime_names_the_board() -> None:
    """The daemon's own error, and where it was."""
    rig = FleetRig(["b1"], default=Answer("one two", then=Crash(), delay=0.1))
    came, ended = streamed(rig.client(), "Hello")
    rig.advance(1.0)
    [failure] = ended
    assert failure.check(RuntimeCrashed)
    assert failure.value.data["board"] == "b1"
    assert failure.value.data["tokens"] == len(came) > 0


def test_a_history_is_continued_on_its_board() -> None:
    """Every further run of the connection goes there, however free the others are."""
    rig = FleetRig()
    client = rig.client()
    for _ in range(3):
        rig.result(client.run("Hello", keep_history=1), 1.0)
    assert sorted(len(calls) for calls in asked(rig).values()) == [0, 0, 3]


def test_a_history_that_another_run_has_replaced_is_an_error() -> None:
    """Then the client begins anew, and that works."""
    rig = FleetRig(["b1"])
    client, other = rig.client(), rig.client()
    rig.result(client.run("Hello", keep_history=1), 1.0)
    rig.result(other.run("Hello"), 1.0)
    with pytest.raises(RuntimeCrashed) as caught:
        rig.result(client.run("Go on", keep_history=1), 1.0)
    assert caught.value.data == {"board": "b1", "history": "lost", "tokens": 0}
    assert "another run" in str(caught.value)
    assert rig.front.line.figures.lost == 0, "no run was lost"
    assert rig.result(client.run("Hello", keep_history=1), 1.0).text == TEXT


def test_a_history_that_a_local_client_has_replaced_is_an_error() -> None:
    """A program on the board itself counts, too."""
    rig = FleetRig(["b1"])
    client = rig.client()
    rig.result(client.run("Hello", keep_history=1), 1.0)
    local = rig.result(connect(rig.clock, rig.boards["b1"].daemon.endpoint()))
    rig.result(local.run("Mine"), 1.0)
    with pytest.raises(RuntimeCrashed, match="another run"):
        rig.result(client.run("Go on"), 1.0)


def test_a_history_goes_with_its_board() -> None:
    """It is never continued from nothing on another."""
    rig = FleetRig(["b1", "b2"])
    client = rig.client()
    rig.result(client.run("Hello", keep_history=1), 1.0)
    [used] = [name for name, calls in asked(rig).items() if calls]
    rig.boards[used].crash()
    waiting = outcome(client.run("Go on"))
    rig.advance(RETURN_S - 0.1)
    assert not waiting
    rig.advance(0.2)
    assert waiting[0].value.data == {"board": used, "history": "lost"}
    assert rig.result(client.run("Hello"), 1.0).text == TEXT


@pytest.mark.parametrize("lost", ["board", "router"])
def test_a_history_is_continued_after_a_lost_connection(lost: str) -> None:
    """The daemon still has it: what is asked meanwhile waits for the board, whichever are free."""
    rig = FleetRig(["b1", "b2"])
    client = rig.client()
    rig.result(client.run("Hello", keep_history=1), 1.0)
    [used] = [name for name, calls in asked(rig).items() if calls]
    engine = rig.boards[used].engine
    if lost == "board":
        rig.router.disconnect(engine)
    else:
        rig.router.stop()
    meanwhile = outcome(client.run("Go on", keep_history=1))
    rig.advance(0.2)
    assert not meanwhile
    if lost == "board":
        rig.router.reconnect(engine)
    else:
        rig.router.start()
    rig.advance(SETTLE_S + 1.0)
    assert meanwhile[0].text == TEXT
    assert rig.result(client.run("And on", keep_history=1), 1.0).text == TEXT
    assert sorted(len(calls) for calls in asked(rig).values()) == [0, 3]


def test_a_history_whose_board_has_left_in_order_is_lost_at_once() -> None:
    """It has said that it offers nothing more."""
    rig = FleetRig(["b1", "b2"])
    client = rig.client()
    rig.result(client.run("Hello", keep_history=1), 1.0)
    [used] = [name for name, calls in asked(rig).items() if calls]
    outcome(rig.boards[used].stop())
    rig.settle()
    with pytest.raises(RuntimeCrashed, match="the board is gone"):
        rig.result(client.run("Go on"))


def test_what_waits_outlives_a_long_absence_of_the_router() -> None:
    """The boards may come back later than the front."""
    rig = FleetRig(["b1"])
    engine = rig.boards["b1"].engine
    rig.router.stop()
    run = outcome(rig.client().run("Hello"))
    rig.advance(3 * GRACE_S, 5.0)
    rig.front.sweep()
    engine.wanted = False
    rig.router.start()
    rig.advance(20.0, 2.0)
    rig.front.sweep()
    assert not run
    rig.router.reconnect(engine)
    rig.advance(1.0)
    assert run[0].text == TEXT


def test_without_a_model_a_board_gets_nothing() -> None:
    """The others have their own."""
    rig = FleetRig(["b1"])
    rig.add("b2", model=None)
    rig.settle()
    for _ in range(2):
        rig.result(rig.client().run("Hello"), 1.0)
    assert {name: len(calls) for name, calls in asked(rig).items()} == {"b1": 2, "b2": 0}


def test_a_board_with_one_history_for_all_gets_nothing() -> None:
    """Conversations would read each other's."""
    rig = FleetRig(["b1"], daemon_options=[])
    with pytest.raises(NoModel):
        rig.result(rig.client().run("Hello"), 1.0)
    [row] = rig.front.about.fleet()["boards"]  # type: ignore[misc]
    assert "--history connection" in row["problem"]


def test_a_fleet_without_boards_says_so() -> None:
    """At once, once the front is joined."""
    rig = FleetRig([])
    with pytest.raises(NoModel):
        rig.result(rig.client().run("Hello"))


def test_without_a_router_requests_wait_until_the_line_is_full() -> None:
    """Then the error says why; when it is back, what has waited is served."""
    rig = FleetRig(["b1"], ["--queue", "1"])
    rig.router.stop()
    first, second = outcome(rig.client().run("Hello")), outcome(rig.client().run("Hello"))
    rig.settle()
    assert not first
    [failure] = second
    assert failure.check(Busy)
    assert failure.value.data == {"queue_length": 1, "fleet": "unreachable"}
    rig.router.start()
    rig.advance(1.0)
    assert first[0].text == TEXT


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("rkllm.init", [{"model_path": "/m/a.rkllm"}]),
        ("rkllm.destroy", None),
        ("rkllm.abort", None),
        ("rkllm.is_running", None),
        ("models.load", {"model": "tiny"}),
        ("models.unload", None),
        ("server.sequence", {"calls": [{"method": "rkllm.clear_kv_cache", "params": [0]}]}),
    ],
)
def test_what_concerns_one_board_is_refused(method: str, params: Any) -> None:
    """The sentence says how an administrator asks one."""
    rig = FleetRig(["b1"])
    with pytest.raises(MethodNotFound, match="fleet.call"):
        rig.result(rig.client().call(method, params))


def test_an_administrator_asks_one_board() -> None:
    """The daemon's own answer."""
    rig = FleetRig(["b1", "b2"])
    call = {"board": "b2", "method": "rkllm.destroy", "params": None}
    assert rig.result(rig.client().call("fleet.call", call))["success"]
    rig.advance(1.0)
    status = rig.result(rig.client().call("server.status"))
    assert [row["state"] for row in status["fleet"]["boards"]] == ["loaded", "empty"]
    assert status["fleet"]["models"] == {"tiny": 1}


def test_a_board_that_is_not_there_cannot_be_asked() -> None:
    """The error names those that are."""
    rig = FleetRig(["b1"])
    call = {"board": "b9", "method": "server.ping"}
    with pytest.raises(InvalidParams, match="there are: b1"):
        rig.result(rig.client().call("fleet.call", call))


def test_what_is_too_large_for_a_router_is_refused() -> None:
    """It would end the session, and all that is under way on it."""
    rig = FleetRig(["b1"], ["--max-message", "64M"])
    with pytest.raises(InvalidParams, match="12,582,912"):
        rig.result(rig.client().run("a" * (12 * 2**20)))
    assert not asked(rig)["b1"]


def test_chat_goes_to_a_board_and_back_to_it() -> None:
    """The board that has read the conversation reads the least."""
    rig = FleetRig(default=Answer("Hello there"))
    client = rig.client()
    messages = [{"role": "user", "content": "Hello"}]
    for _ in range(3):
        answer = rig.result(client.call("chat.complete", {"messages": messages}), 1.0)
        messages += [answer["message"], {"role": "user", "content": "And?"}]
    assert answer["model"]
    assert sorted(map(len, asked(rig, "chat.complete").values())) == [0, 0, 3]


MESSAGES = [{"role": "user", "content": "Hello"}]
UNSTREAMED: list[tuple[str, dict[str, Any]]] = [
    ("rkllm.run", {"rkllm_input": {"prompt_input": "Hello"}}),
    ("chat.complete", {"messages": MESSAGES}),
    ("text.complete", {"prompt": "Hello"}),
]


@pytest.mark.parametrize(("method", "params"), UNSTREAMED)
def test_an_answer_that_has_begun_is_not_made_again(method: str, params: Any) -> None:
    """Whether its client streams or not: the board does, so the front knows."""
    rig = FleetRig(["b1", "b2"])
    client = rig.client()
    answer = outcome(client.call(method, params))
    rig.advance(0.3)
    [used] = [name for name, board in rig.boards.items() if board.service.bridge.runs.under_way]
    rig.boards[used].crash()
    rig.advance(2.0)
    assert answer[0].check(RuntimeCrashed)
    assert answer[0].value.data["board"] == used
    assert answer[0].value.data["tokens"] > 0
    figures = rig.front.line.figures
    assert (figures.lost, figures.retries["board_gone"]) == (1, 0)


@pytest.mark.parametrize(("method", "params"), UNSTREAMED)
def test_a_client_that_does_not_stream_gets_one_answer(method: str, params: Any) -> None:
    """Its parts stay in the front."""
    rig = FleetRig(["b1"])
    events: list[Any] = []
    rig.client().ask(method, params, events.extend)
    rig.advance(1.0)
    [answer] = events
    assert TEXT in str(answer.result)


def test_an_answer_that_a_daemon_begins_anew_is_asked_for_anew() -> None:
    """A stream cannot be taken back, so the daemon refuses; this client has seen nothing of it."""
    refused = RuntimeRefused("It did not go on.", {"reason": NOT_CONTINUED})
    rig = FleetRig(["b1"], default=Answer("one two", then=refused, delay=0.1))
    answer = outcome(rig.client().call("chat.complete", {"messages": MESSAGES}))
    rig.advance(0.15)
    rig.boards["b1"].daemon.answers["Hello"] = PACED
    rig.advance(2.0)
    assert answer[0]["message"]["content"] == TEXT
    calls = asked(rig, "chat.complete")["b1"]
    assert [call.get("stream", False) for call in calls] == [True, False]


def test_a_conversation_takes_another_board_after_a_second() -> None:
    """It sends everything, so only speed is at stake."""
    rig = FleetRig(["b1", "b2"], default=Answer("Hello there"))
    rig.boards["b1"].daemon.answers["Long"] = Answer("on and on", endless=True, delay=0.1)
    rig.boards["b2"].daemon.answers["Long"] = Answer("on and on", endless=True, delay=0.1)
    client = rig.client()
    chat = {"messages": [{"role": "user", "content": "Hello"}]}
    rig.result(client.call("chat.complete", chat), 1.0)
    [used] = [name for name, calls in asked(rig, "chat.complete").items() if calls]
    holder = next(one for one in ("b1", "b2") if one != used)
    rig.boards[used].service.bridge.runs.under_way = 1  # another front's
    rig.boards[used].service.bridge.look()
    rig.settle()
    again = outcome(client.call("chat.complete", chat))
    rig.advance(0.8)
    assert not again
    rig.advance(0.4)
    assert again
    assert len(asked(rig, "chat.complete")[holder]) == 1


def test_a_model_by_its_name() -> None:
    """It goes where that is loaded; one that nobody has is an error."""
    rig = FleetRig(["b1"], default=Answer("Hello there"))
    rig.add("b2", model=model_file("other"), default=Answer("Another"))
    rig.advance(0.6)
    chat: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
    client = rig.client()
    answer = rig.result(client.call("chat.complete", {**chat, "model": "other"}), 1.0)
    assert answer["message"]["content"] == "Another"
    with pytest.raises(InvalidParams, match="other, tiny"):
        rig.result(client.call("chat.complete", chat))
    with pytest.raises(NoModel, match="nothing"):
        rig.result(client.call("chat.complete", {**chat, "model": "nothing"}))
    models = rig.result(client.call("models.list"))["models"]
    assert [(one["name"], one["boards"]) for one in models] == [("other", ["b2"]), ("tiny", ["b1"])]


def test_the_status_is_the_fleets() -> None:
    """Boards, models, free, waiting, retries by cause, lost runs."""
    rig = FleetRig(["b1", "b2"])
    runs = [outcome(rig.client().run("Hello")) for _ in range(3)]
    rig.advance(0.2)
    client = rig.client()
    status = rig.result(client.call("server.status"))
    assert status["state"] == "running"
    assert status["queue_length"] == 1
    fleet = status["fleet"]
    assert (fleet["free"], fleet["waiting"], fleet["running"]) == (0, 1, 2)
    assert fleet["retries"] == {cause.value: 0 for cause in Cause}
    assert [row["board"] for row in fleet["boards"]] == ["b1", "b2"]
    rig.advance(2.0)
    assert all(runs)
    assert rig.result(client.status()).state == "loaded"
    assert rig.result(client.version()).runtime.backend == "fleet"


def test_discovery_describes_the_front() -> None:
    """With ``fleet.call``."""
    rig = FleetRig(["b1"])
    document = rig.result(rig.client().call("rpc.discover"))
    names = {method["name"] for method in document["methods"]}
    assert {"fleet.call", "rkllm.run_async", "chat.complete", "rpc.discover"} <= names


def test_boards_are_busy_while_requests_wait() -> None:
    """Thirty requests on three boards take hardly longer than ten on one."""
    rig = FleetRig(["b1", "b2", "b3"], default=Answer("one two three four", delay=0.125))
    alone = outcome(rig.client().run("Hello"))
    began = rig.clock.seconds()
    while not alone:
        rig.clock.advance(1 / 64)
        rig.settle()
    one = rig.clock.seconds() - began
    rig.clock.advance(1 - rig.clock.seconds() % 1)
    runs = [outcome(client.run("Hello")) for client in [rig.client() for _ in range(30)]]
    began = rig.clock.seconds()
    while not all(runs):
        rig.clock.advance(1 / 64)
        rig.settle()
    assert 10 * one / (rig.clock.seconds() - began) >= 0.95
