"""The engine over a real router keeps the contract of engines, and away from Crossbar's faults."""

from __future__ import annotations

import pytest
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import RegisterOptions
from crossbar_router import CrossbarRouter, require_crossbar
from engine_contract import *  # noqa: F403 - the tests are the names

from rkllm_twisted.fleet.wamp import connection
from rkllm_twisted.fleet.wamp.router import LOOK_S

require_crossbar()


async def test_a_wrong_key_an_unknown_name_and_another_role_are_refused(
    fleet: CrossbarRouter,
) -> None:
    other = fleet.key("b2", Role.BOARD)  # noqa: F405
    fleet.key("b1", Role.BOARD)  # noqa: F405
    for name, role in [("b1", Role.BOARD), ("stranger", Role.BOARD), ("b2", Role.ADMIN)]:  # noqa: F405
        watcher = Watcher()  # noqa: F405
        member = fleet.engine(name, role, key=other)
        member.watch(watcher)
        with pytest.raises(NotPermitted):  # noqa: F405
            await member.join()
        assert [type(reason) for reason in watcher.lost] == [NotPermitted]  # noqa: F405


async def test_a_key_counts_from_the_moment_that_it_is_there(fleet: CrossbarRouter) -> None:
    key = fleet.key("late", Role.BOARD)  # noqa: F405
    public = fleet.directory / "keys" / "board" / "late"
    text = public.read_text()
    public.unlink()
    with pytest.raises(NotPermitted):  # noqa: F405
        await fleet.engine("late", Role.BOARD, key=key).join()  # noqa: F405
    public.write_text(text)
    await fleet.engine("late", Role.BOARD, key=key).join()  # noqa: F405


async def test_a_key_that_is_removed_ends_the_session_of_its_member(fleet: CrossbarRouter) -> None:
    """And keeps it out until the key is there again."""
    key = fleet.key("gone", Role.BOARD)  # noqa: F405
    other = await joined(fleet, "b1", Role.BOARD)  # noqa: F405
    board, watcher = fleet.engine("gone", Role.BOARD, key=key), Watcher()  # noqa: F405
    board.watch(watcher)
    await board.join()
    (fleet.directory / "keys" / "board" / "gone").unlink()
    await until(lambda: watcher.lost)  # noqa: F405
    assert isinstance(watcher.lost[0], NotPermitted)  # noqa: F405
    assert "The key was removed from the router's directory" in str(watcher.lost[0])
    assert not board.joined
    assert other.joined


async def test_a_key_that_is_replaced_ends_the_session_that_proved_the_old_one(
    fleet: CrossbarRouter,
) -> None:
    """Even if the new one has joined before the next look at the keys."""
    old = await replaced_key(fleet, "swapped")
    newer = fleet.engine("swapped", Role.BOARD)  # noqa: F405
    await newer.join()
    await until(lambda: old.lost)  # noqa: F405
    assert isinstance(old.lost[0], NotPermitted)  # noqa: F405
    await deferLater(reactor, 2 * LOOK_S + 1)  # noqa: F405 - two looks
    assert newer.joined


async def test_a_key_that_is_replaced_ends_the_session_before_another_joins(
    fleet: CrossbarRouter,
) -> None:
    old = await replaced_key(fleet, "later")
    await until(lambda: old.lost)  # noqa: F405
    assert isinstance(old.lost[0], NotPermitted)  # noqa: F405


async def replaced_key(fleet: CrossbarRouter, name: str) -> Watcher:  # noqa: F405
    """Join a board, then give its name another key; what the board's watcher sees."""
    board, watcher = fleet.engine(name, Role.BOARD), Watcher()  # noqa: F405
    board.watch(watcher)
    await board.join()
    (fleet.directory / "private" / f"board-{name}").unlink()
    fleet.key(name, Role.BOARD)  # noqa: F405
    return watcher


async def test_a_key_that_is_removed_ends_no_session_of_another_role(fleet: CrossbarRouter) -> None:
    """A front and a board may have one name."""
    board, watcher = fleet.engine("twin", Role.BOARD), Watcher()  # noqa: F405
    front, other = fleet.engine("twin", Role.FRONT), Watcher()  # noqa: F405
    board.watch(watcher)
    front.watch(other)
    await board.join()
    await front.join()
    (fleet.directory / "keys" / "board" / "twin").unlink()
    await until(lambda: watcher.lost)  # noqa: F405
    await deferLater(reactor, 0.2)  # noqa: F405 - the router has ended all that it would
    assert front.joined
    assert not other.lost


async def test_boards_answers_are_not_kept_for_other_boards(fleet: CrossbarRouter) -> None:
    """Crossbar keeps an authorizer's answer by role: what b1 may would hold for b2."""
    first = await joined(fleet, "b1", Role.BOARD)  # noqa: F405
    await first.offer(board_uri("b1", "run"), Served())  # noqa: F405
    second = await joined(fleet, "b2", Role.BOARD)  # noqa: F405
    with pytest.raises(NotPermitted):  # noqa: F405
        await second.offer(board_uri("b1", "run"), Served())  # noqa: F405


async def test_a_board_puts_no_other_out_of_a_shared_uri(fleet: CrossbarRouter) -> None:
    served = Served()  # noqa: F405
    board, other = [await joined(fleet, name, Role.BOARD) for name in ("b1", "b2")]  # noqa: F405
    await board.offer(DEMO, served, 1)  # noqa: F405
    options = RegisterOptions(invoke="roundrobin", force_reregister=True)
    with pytest.raises(ApplicationError, match="not authorized"):
        await other._session.register(Served(), DEMO, options=options)  # noqa: F405
    answer = await place(await joined(fleet, "f1", Role.FRONT), served)  # noqa: F405
    served.answers[0].callback("still")
    assert await answer == "still"


async def test_a_member_that_was_replaced_comes_back_when_its_name_is_free(
    fleet: CrossbarRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then its attempts take nothing from the newer one."""
    monkeypatch.setattr(connection, "LONGEST", 0.2)
    served, others = Served(), Served()  # noqa: F405
    older, watcher = fleet.engine("b1", Role.BOARD), Watcher()  # noqa: F405
    older.watch(watcher)
    await older.join()
    await older.offer(board_uri("b1", "run"), served)  # noqa: F405
    await older.offer(DEMO, served, 1)  # noqa: F405
    front = await joined(fleet, "f1", Role.FRONT)  # noqa: F405
    newer, newer_watcher = fleet.engine("b1", Role.BOARD), Watcher()  # noqa: F405
    newer.watch(newer_watcher)
    await newer.join()
    await newer.offer(board_uri("b1", "run"), others)  # noqa: F405
    await until(lambda: len(watcher.lost) > 2)  # noqa: F405
    assert watcher.times_connected == 1
    assert not newer_watcher.lost
    answer = await place(front, others, board_uri("b1", "run"))  # noqa: F405
    others.answers[0].callback("newer")
    assert await answer == "newer"
    await newer.leave()
    await until(lambda: watcher.times_connected == 2)  # noqa: F405
    assert older.joined
    for uri in (board_uri("b1", "run"), DEMO):  # noqa: F405
        answer = await place(front, served, uri)  # noqa: F405
        served.answers[-1].callback("older")
        assert await answer == "older"


async def test_a_thousand_callers_that_break_off_take_no_place(fleet: CrossbarRouter) -> None:
    served = Served()  # noqa: F405
    for number in range(50):
        await (await joined(fleet, f"b{number}", Role.BOARD)).offer(DEMO, served, 1)  # noqa: F405
    boards = list(fleet.members)
    front = await joined(fleet, "front", Role.FRONT)  # noqa: F405
    for done in range(0, 1000, 50):
        fleet.members.clear()
        callers = [fleet.engine(f"f{number}", Role.FRONT) for number in range(50)]  # noqa: F405
        for joining in [caller.join() for caller in callers]:
            await joining
        waiting = callers
        while waiting:  # a board whose caller has just broken off is not offered for a moment
            answers = {caller: caller.call(DEMO, {}) for caller in waiting}  # noqa: F405
            for answer in answers.values():
                answer.addErrback(lambda failure: failure.value)
            await deferLater(reactor, 0.1)  # noqa: F405
            waiting = [caller for caller, answer in answers.items() if answer.called]
        for caller in callers:
            fleet.cut(caller)
            caller.leave()
        await until(lambda: served.cancelled == done + 50)  # noqa: B023, F405
    fleet.members[:] = [*boards, front]
    answers = [await place(front, served) for _ in boards]  # noqa: F405
    for one, answer in zip(served.answers[-50:], answers, strict=True):
        one.callback("ok")
        assert await answer == "ok"
