"""Which board gets a run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.errors import InvalidParams, NoModel, RuntimeCrashed
from rkllm_twisted.fleet_service.boards import (
    GRACE_S,
    MAX_ASKED,
    MAX_BACK_OFF_S,
    RETURN_ALL_S,
    RETURN_S,
    Board,
    Boards,
)
from rkllm_twisted.fleet_service.choice import (
    PREFERENCE_S,
    Give,
    Refuse,
    Wait,
    Wanted,
    choose,
    default_model,
)
from rkllm_twisted.fleet_service.published import READY_STATES

NOW = 100.0
#: What a front knows of a board, beside what that publishes.
FACTS = ("is_here", "given", "asked", "seen", "returns_by")


def board(name: str, **status: Any) -> Board:
    """A free board with the model tiny, seen just now."""
    idle = status.pop("idle_since", 0.0)
    facts = {name: status.pop(name) for name in FACTS if name in status}
    here = {"state": "loaded", "model": "tiny", "running": False, "queue_length": 0, **status}
    here["offered"] = here["model"] if here["state"] in READY_STATES else None
    return Board(name, here, **{"seen": NOW, "idle_since": idle, **facts})


def boards(*known: Board) -> dict[str, Board]:
    """Boards by name."""
    return {one.name: one for one in known}


BUSY = {"state": "running", "running": True}


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        pytest.param(Wanted("tiny"), [board("b1")], Give("b1"), id="the only one"),
        pytest.param(
            Wanted("tiny"), [board("b1", **BUSY), board("b2")], Give("b2"), id="the free one"
        ),
        pytest.param(
            Wanted("tiny"), [board("b1", given=1), board("b2")], Give("b2"), id="not one given one"
        ),
        pytest.param(
            Wanted("tiny"), [board("b1", queue_length=1), board("b2")], Give("b2"), id="no queue"
        ),
        pytest.param(
            Wanted("tiny"),
            [board("b1", idle_since=9), board("b2", idle_since=7)],
            Give("b2"),
            id="the one that is idle for longest",
        ),
        pytest.param(
            Wanted("tiny"), [board("b1", model="other"), board("b2")], Give("b2"), id="its model"
        ),
        pytest.param(Wanted("tiny"), [board("b1", **BUSY)], Wait(), id="all are busy"),
        pytest.param(
            Wanted("tiny", is_run=False), [board("b1", **BUSY)], Give("b1"), id="without a turn"
        ),
        pytest.param(
            Wanted("tiny", is_run=False),
            [board("b1", asked=2), board("b2", asked=1)],
            Give("b2"),
            id="without a turn, to the one with least of them",
        ),
        pytest.param(
            Wanted("tiny", is_run=False),
            [board("b1", asked=MAX_ASKED)],
            Wait(),
            id="without a turn, not more at once",
        ),
        pytest.param(
            Wanted("tiny", prefers="b2"),
            [board("b1", idle_since=1), board("b2", idle_since=9)],
            Give("b2"),
            id="the one that has read it",
        ),
        pytest.param(
            Wanted("tiny", prefers="b2", since=NOW),
            [board("b1"), board("b2", **BUSY)],
            Wait(NOW + PREFERENCE_S),
            id="a second for the one that has read it",
        ),
        pytest.param(
            Wanted("tiny", prefers="b2", since=NOW - PREFERENCE_S),
            [board("b1"), board("b2", **BUSY)],
            Give("b1"),
            id="then any other",
        ),
        pytest.param(
            Wanted("tiny", prefers="b2", since=NOW),
            [board("b1"), board("b2", is_here=False)],
            Give("b1"),
            id="no second for one that is gone",
        ),
        pytest.param(
            Wanted("tiny", must="b2"),
            [board("b1"), board("b2", **BUSY)],
            Wait(),
            id="its history is there only",
        ),
        pytest.param(
            Wanted("tiny", must="b2"),
            [board("b1"), board("b2", is_here=False, returns_by=NOW + RETURN_S)],
            Wait(NOW + RETURN_S),
            id="its history may come back",
        ),
        pytest.param(
            Wanted("tiny"), [board("b1", is_here=False)], Wait(NOW + GRACE_S + 0.001), id="away"
        ),
        pytest.param(
            Wanted("tiny"), [board("b1", state="loading")], Wait(NOW + GRACE_S + 0.001), id="loads"
        ),
    ],
)
def test_the_board_of_a_run(wanted: Wanted, known: list[Board], expected: object) -> None:
    """A free board with the model, and the one that knows the conversation before others."""
    assert choose(wanted, boards(*known), NOW) == expected


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([board("b1")], id="unknown"),
        pytest.param([board("b1"), board("b2", is_here=False)], id="gone"),
        pytest.param([board("b1"), board("b2", is_here=False, returns_by=NOW)], id="gone for long"),
        pytest.param([board("b1"), board("b2", model="other")], id="another model"),
        pytest.param([board("b1"), board("b2", state="empty")], id="no model"),
    ],
)
def test_a_history_that_is_gone_is_an_error(known: list[Board]) -> None:
    """A run that continues a history never goes to another board."""
    chosen = choose(Wanted("tiny", must="b2"), boards(*known), NOW)
    assert isinstance(chosen, Refuse)
    assert isinstance(chosen.error, RuntimeCrashed)
    assert chosen.error.data == {"board": "b2", "history": "lost"}


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([], id="no board"),
        pytest.param([board("b1", model="other")], id="another model"),
        pytest.param([board("b1", is_here=False, seen=NOW - GRACE_S - 1)], id="gone for long"),
    ],
)
def test_a_model_that_no_board_has_is_an_error(known: list[Board]) -> None:
    """The error names the models that there are."""
    chosen = choose(Wanted("tiny"), boards(*known), NOW)
    assert isinstance(chosen, Refuse)
    assert isinstance(chosen.error, NoModel)
    assert chosen.error.data == {"models": [one.model for one in known if one.model]}


states = st.sampled_from(["empty", "loading", "loaded", "running", "failed"])
any_board = st.builds(
    lambda name, state, model, running, queue, given_, here, idle: board(
        name,
        state=state,
        model=model,
        running=running,
        queue_length=queue,
        given=given_,
        is_here=here,
        idle_since=idle,
    ),
    st.sampled_from(["b1", "b2", "b3", "b4"]),
    states,
    st.sampled_from(["tiny", "other", None]),
    st.booleans(),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
    st.floats(0, NOW),
)
maybe_board = st.sampled_from([None, "b1", "b2", "b3", "b4"])


@given(st.lists(any_board), maybe_board, maybe_board, st.floats(NOW - 3, NOW))
def test_no_run_goes_to_a_board_that_cannot_run_it_now(
    known: list[Board], must: str | None, prefers: str | None, since: float
) -> None:
    """Whatever is known: the board has the model, is here and is free."""
    all_of_them = boards(*known)
    chosen = choose(Wanted("tiny", must, prefers, since), all_of_them, NOW)
    if isinstance(chosen, Give):
        given_to = all_of_them[chosen.board]
        assert given_to.model == "tiny"
        assert given_to.is_here
        assert not given_to.is_busy
        assert must in (None, chosen.board)


@given(st.lists(any_board))
def test_no_run_waits_while_a_board_is_free(known: list[Board]) -> None:
    """Without a preference, a free board with the model gets the run."""
    all_of_them = boards(*known)
    chosen = choose(Wanted("tiny"), all_of_them, NOW)
    free = [one for one in all_of_them.values() if one.model == "tiny" and not one.is_busy]
    assert isinstance(chosen, Give) == bool(free)


def test_a_board_that_refuses_is_asked_again_after_longer_and_longer_times() -> None:
    """0.1 s at first, 1 s at most; an event of the board's ends the wait."""
    fleet = Boards()
    fleet.saw("b1", board("b1").status, NOW)
    waits = []
    for _ in range(6):
        fleet.refused("b1", NOW)
        chosen = choose(Wanted("tiny"), fleet, NOW)
        assert isinstance(chosen, Wait)
        assert chosen.until is not None
        waits.append(chosen.until - NOW)
    assert waits[0] == pytest.approx(0.1)
    assert waits == sorted(waits)
    assert waits[-1] == MAX_BACK_OFF_S
    fleet.saw("b1", board("b1").status, NOW)
    assert choose(Wanted("tiny"), fleet, NOW) == Give("b1")


def test_a_board_is_free_again_when_the_run_of_this_front_has_ended() -> None:
    """Its event that says so need not have come yet."""
    fleet = Boards()
    fleet.saw("b1", board("b1").status, NOW)
    fleet.began("b1")
    fleet.saw("b1", board("b1", **BUSY).status, NOW)
    assert choose(Wanted("tiny"), fleet, NOW) == Wait()
    fleet.ended("b1", NOW)
    assert choose(Wanted("tiny"), fleet, NOW) == Give("b1")


def test_boards_that_are_away_for_long_are_forgotten() -> None:
    """Their models are no longer waited for."""
    fleet = Boards()
    fleet.saw("b1", board("b1").status, NOW)
    fleet.lost_all(NOW)
    assert fleet.models(NOW) == {"tiny": 0}
    fleet.forget(NOW + GRACE_S + 1)
    assert not fleet


@pytest.mark.parametrize(
    ("offered", "loses", "seconds"),
    [
        ("tiny", Boards.left, RETURN_S),
        ("tiny", Boards.lost_all, RETURN_ALL_S),
        (None, Boards.left, 0.0),
        (None, Boards.lost_all, 0.0),
    ],
)
def test_histories_wait_for_a_board_that_has_not_said_that_it_leaves(
    offered: str | None, loses: Any, seconds: float
) -> None:
    """Longer if this front was away, since all boards may have been."""
    fleet = Boards()
    fleet.saw("b1", {**board("b1").status, "offered": offered}, NOW - 1)
    loses(fleet, *(["b1"] if loses is Boards.left else []), NOW)
    assert fleet["b1"].returns_by == NOW + seconds


def test_a_front_that_has_joined_again_waits_for_the_boards_anew() -> None:
    """However long the router was away."""
    fleet = Boards()
    fleet.saw("b1", board("b1").status, NOW)
    fleet.lost_all(NOW)
    later = NOW + 10 * GRACE_S
    fleet.joined(later)
    assert fleet.models(later) == {"tiny": 0}
    assert fleet["b1"].returns_by == later + RETURN_ALL_S


def test_the_model_of_a_run_that_names_none() -> None:
    """It is the front's, else the only one there is."""
    assert default_model(["a", "b"], "c") == "c"
    assert default_model(["a"], None) == "a"
    with pytest.raises(NoModel):
        default_model([], None)
    with pytest.raises(InvalidParams, match="there are: a, b"):
        default_model(["a", "b"], None)
