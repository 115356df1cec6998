"""Checks of rkllm_abort and rkllm_is_running."""

from __future__ import annotations

import time

from rkllm_twisted.contract.raw_library import RawLibrary, RunRecord
from rkllm_twisted.contract.run_checks import LISTEN_S, states_of
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.values import RunState

#: Seconds from an abort until the daemon kills the runtime's process if the run has not ended.
ABORT_TIMEOUT_S = 5.0


class _Aborted:
    """A run that was aborted.

    :ivar status: the return value of rkllm_abort.
    :ivar took: seconds from the abort to the return of rkllm_run.
    :ivar after: the number of callbacks after the abort, without FINISH.
    """

    def __init__(self, library: RawLibrary, **run: object) -> None:
        def abort() -> tuple[int, float]:
            return library.call("rkllm_abort"), time.monotonic()

        self.ran: RunRecord
        self.ran, (self.status, at) = library.run_with(abort, **run)
        if self.ran.ended < at:
            raise NotTestable("The answer was over before it could be aborted.")
        self.took = self.ran.ended - at
        self.after = sum(
            callback.at > at and callback.state != RunState.FINISH
            for callback in self.ran.callbacks
        )


def abort_returns_zero(library: RawLibrary) -> Verdict:
    """rkllm_abort returns 0 while a run is under way."""
    library.load()
    aborted = _Aborted(library)
    return judged(aborted.status == 0, f"rkllm_abort returned {aborted.status}.")


def abort_ends_the_run(library: RawLibrary) -> Verdict:
    """rkllm_run returns soon after the abort."""
    library.load()
    aborted = _Aborted(library)
    return judged(
        aborted.took < ABORT_TIMEOUT_S,
        f"rkllm_run returned {aborted.took * 1000:.0f} ms after the abort, {aborted.after} tokens"
        " later.",
    )


def aborted_run_returns_zero(library: RawLibrary) -> Verdict:
    """rkllm_run returns 0 when it was aborted."""
    library.load()
    ran = _Aborted(library).ran
    return judged(ran.status == 0, f"{states_of(ran)}.")


def aborted_run_finishes(library: RawLibrary) -> Verdict:
    """The last callback of an aborted run is FINISH."""
    library.load()
    ran = _Aborted(library).ran
    return judged(ran.callbacks[-1].state == RunState.FINISH, f"{states_of(ran)}.")


def nothing_comes_late(library: RawLibrary) -> Verdict:
    """No callback comes after the return of an aborted run."""
    library.load()
    _Aborted(library)
    before = len(library.callbacks)
    time.sleep(LISTEN_S)
    late = len(library.callbacks) - before
    return judged(late == 0, f"{late} callbacks came within {LISTEN_S:g} s of the return.")


def next_run_is_whole(library: RawLibrary) -> Verdict:
    """The run after an aborted one is whole."""
    library.load()
    whole = library.run()
    _Aborted(library)
    again = library.run()
    return judged(
        again.status == 0 and again.states == whole.states,
        f"Before: {states_of(whole)}; after: {states_of(again)}.",
    )


def abort_of_nothing(library: RawLibrary) -> Verdict:
    """An abort while nothing runs does not stop the next run."""
    library.load()
    whole = library.run()
    status = library.call("rkllm_abort")
    again = library.run()
    return judged(
        len(again.callbacks) == len(whole.callbacks),
        f"rkllm_abort returned {status} when nothing ran; the next run called back"
        f" {len(again.callbacks)} times, the one before {len(whole.callbacks)} times.",
    )


def abort_from_callbacks_thread(library: RawLibrary) -> Verdict:
    """An abort inside a callback ends the run.

    The daemon aborts this way if the run had not begun when the abort came.
    """
    library.load()
    whole = library.run()
    returned: list[int] = []
    library.in_callback = lambda: returned.append(library.call("rkllm_abort"))
    ran = library.run()
    return judged(
        len(ran.callbacks) < len(whole.callbacks),
        f"rkllm_abort returned {returned[:3]} inside callbacks; {states_of(ran)}, without it"
        f" {len(whole.callbacks)}.",
    )


def running_is_one(library: RawLibrary) -> Verdict:
    """rkllm_is_running returns 1 while a run is under way, and another number otherwise."""
    library.load()
    before = library.call("rkllm_is_running")
    _, during = library.run_with(lambda: library.call("rkllm_is_running"))
    after = library.call("rkllm_is_running")
    return judged(
        during == 1 and before != 1 and after != 1,
        f"{before} before the run, {during} while it was under way, {after} after it.",
    )
