"""Checks: abort and is_running."""

from __future__ import annotations

import time

from rkllm_twisted.contract.raw_library import RawLibrary, RunRecord
from rkllm_twisted.contract.run_checks import SILENCE, states_of
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.values import RunState

#: Seconds after which the daemon gives an aborted run up and ends the runtime's process.
PATIENCE = 5.0


class _Aborted:
    """A run that was aborted.

    :ivar status: what rkllm_abort returned.
    :ivar took: seconds from the abort to the return of rkllm_run.
    :ivar after: callbacks after it, but for FINISH.
    """

    def __init__(self, bare: RawLibrary, **run: object) -> None:
        def abort() -> tuple[int, float]:
            return bare.call("rkllm_abort"), time.monotonic()

        self.ran: RunRecord
        self.ran, (self.status, at) = bare.beside(abort, **run)
        if self.ran.ended < at:
            raise NotTestable("The answer was over before it could be aborted.")
        self.took = self.ran.ended - at
        self.after = sum(seen.at > at and seen.state != RunState.FINISH for seen in self.ran.seen)


def abort_returns_zero(bare: RawLibrary) -> Verdict:
    """While running."""
    bare.loaded()
    aborted = _Aborted(bare)
    return judged(aborted.status == 0, f"rkllm_abort returned {aborted.status}.")


def abort_ends_the_run(bare: RawLibrary) -> Verdict:
    """Soon."""
    bare.loaded()
    aborted = _Aborted(bare)
    return judged(
        aborted.took < PATIENCE,
        f"rkllm_run returned {aborted.took * 1000:.0f} ms after the abort, {aborted.after} tokens"
        " later.",
    )


def aborted_run_returns_zero(bare: RawLibrary) -> Verdict:
    """The number."""
    bare.loaded()
    ran = _Aborted(bare).ran
    return judged(ran.status == 0, f"{states_of(ran)}.")


def aborted_run_finishes(bare: RawLibrary) -> Verdict:
    """The state of its last callback."""
    bare.loaded()
    ran = _Aborted(bare).ran
    return judged(ran.seen[-1].state == RunState.FINISH, f"{states_of(ran)}.")


def nothing_comes_late(bare: RawLibrary) -> Verdict:
    """After the return of an aborted run."""
    bare.loaded()
    _Aborted(bare)
    before = len(bare.seen)
    time.sleep(SILENCE)
    late = len(bare.seen) - before
    return judged(late == 0, f"{late} callbacks came within {SILENCE:g} s of the return.")


def next_run_is_whole(bare: RawLibrary) -> Verdict:
    """After an abort."""
    bare.loaded()
    whole = bare.run()
    _Aborted(bare)
    again = bare.run()
    return judged(
        again.status == 0 and again.states == whole.states,
        f"Before: {states_of(whole)}; after: {states_of(again)}.",
    )


def abort_of_nothing(bare: RawLibrary) -> Verdict:
    """It must not stop the run that comes next."""
    bare.loaded()
    whole = bare.run()
    status = bare.call("rkllm_abort")
    again = bare.run()
    return judged(
        len(again.seen) == len(whole.seen),
        f"rkllm_abort returned {status} when nothing ran; the next run called back"
        f" {len(again.seen)} times, the one before {len(whole.seen)} times.",
    )


def abort_from_callbacks_thread(bare: RawLibrary) -> Verdict:
    """The daemon repeats an abort inside a callback, for a run that had not begun."""
    bare.loaded()
    whole = bare.run()
    returned: list[int] = []
    bare.inside = lambda: returned.append(bare.call("rkllm_abort"))
    ran = bare.run()
    return judged(
        len(ran.seen) < len(whole.seen),
        f"rkllm_abort returned {returned[:3]} inside callbacks; {states_of(ran)}, without it"
        f" {len(whole.seen)}.",
    )


def running_is_one(bare: RawLibrary) -> Verdict:
    """1 while running, something else when not."""
    bare.loaded()
    before = bare.call("rkllm_is_running")
    _, during = bare.beside(lambda: bare.call("rkllm_is_running"))
    after = bare.call("rkllm_is_running")
    return judged(
        during == 1 and before != 1 and after != 1,
        f"{before} before the run, {during} while it was under way, {after} after it.",
    )
