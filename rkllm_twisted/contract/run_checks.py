"""Checks: loading, and how runs call back and end."""

from __future__ import annotations

import threading
import time

from rkllm_twisted.contract.raw_library import RawLibrary, RunRecord
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.values import LAST_STATES, RunState

#: Seconds to listen for what should not come.
SILENCE = 2.0
#: A text whose answer is likely to have characters of several bytes.
MANY_BYTES = "Repeat exactly: 😀 日本語 ñ é ü"
GENERATE, HIDDEN, LOGITS = 0, 1, 2


def says_version(bare: RawLibrary) -> Verdict:
    """Is the layout known from the library's own text?"""
    return judged(bare.known.version is not None, f"Layout {bare.release}: {bare.known.reason}.")


def loads(bare: RawLibrary) -> Verdict:
    """Does rkllm_init load the model?"""
    began = time.monotonic()
    status = bare.init()
    seconds = time.monotonic() - began
    holds = status == 0 and bool(bare.handle)
    handle = "a handle" if bare.handle else "no handle"
    return judged(holds, f"rkllm_init returned {status} and {handle} after {seconds:.1f} s.")


def refuses_missing_model(bare: RawLibrary) -> Verdict:
    """What of a file that does not exist?"""
    status = bare.init(model_path="/nonexistent/model.rkllm")
    return judged(status != 0 or not bare.handle, f"rkllm_init returned {status}.")


def refuses_long_context(bare: RawLibrary) -> Verdict:
    """What of a context that no model has?"""
    status = bare.init(max_context_len=1 << 24)
    return judged(status != 0 or not bare.handle, f"rkllm_init returned {status}.")


def states_of(ran: RunRecord) -> str:
    """A run in words."""
    states = " ".join(map(str, ran.states)) or "none"
    return f"rkllm_run returned {ran.status} after {len(ran.seen)} callbacks in states {states}"


def ends_with_finish(bare: RawLibrary) -> Verdict:
    """FINISH, once, at the end, in the mode that generates."""
    bare.loaded()
    ran = bare.run()
    finishes = [seen for seen in ran.seen if seen.state == RunState.FINISH]
    holds = ran.status == 0 and len(finishes) == 1 and ran.seen[-1] is finishes[0]
    return judged(holds, f"{states_of(ran)}; FINISH came {len(finishes)} times.")


def logits_end_with_return(bare: RawLibrary) -> Verdict:
    """In the mode for logits."""
    if bare.release == "1.1.4":
        raise NotTestable("Release 1.1.x has no mode for logits.")
    return _arrays(bare, LOGITS)


def hidden_end_with_return(bare: RawLibrary) -> Verdict:
    """In the mode for hidden states."""
    return _arrays(bare, HIDDEN)


def _arrays(bare: RawLibrary, mode: int) -> Verdict:
    bare.loaded()
    ran = bare.run(mode=mode)
    time.sleep(SILENCE)
    late = len(bare.seen) - len(ran.seen)
    brought = sum(seen.arrays for seen in ran.seen)
    finish = "came" if any(seen.state == RunState.FINISH for seen in ran.seen) else "did not come"
    holds = ran.status == 0 and brought > 0 and not late
    return judged(
        holds,
        f"{states_of(ran)}, {brought} of them with arrays; FINISH {finish}; {late} came late.",
    )


def calls_back_on_callers_thread(bare: RawLibrary) -> Verdict:
    """Which thread?"""
    bare.loaded()
    ran = _spoken(bare)
    here = threading.get_native_id()
    other = sum(seen.thread != here for seen in ran.seen)
    return judged(other == 0, f"{other} of {len(ran.seen)} callbacks came on another thread.")


def brings_userdata(bare: RawLibrary) -> Verdict:
    """The run's own, in each of two runs."""
    bare.loaded()
    first, second = bare.run(userdata=7), bare.run(userdata=8)
    brought = [{seen.userdata for seen in ran.seen} for ran in (first, second)]
    return judged(brought == [{7}, {8}], f"Runs with 7 and 8 brought {brought[0]}, {brought[1]}.")


def figures_with_finish(bare: RawLibrary) -> Verdict:
    """perf."""
    bare.loaded()
    ran = _spoken(bare)
    if ran.seen[-1].generated is None:
        raise NotTestable(f"A result of release {bare.release} has no figures.")
    early = sum(
        bool(seen.generated)
        for seen in ran.seen
        if seen.state in (RunState.NORMAL, RunState.WAITING)
    )
    last = ran.seen[-1].generated
    return judged(
        early == 0 and last > 0, f"{early} callbacks before the last had figures; the last: {last}."
    )


def waits_for_characters(bare: RawLibrary) -> Verdict:
    """WAITING, and NORMAL with whole characters or the rest of them."""
    bare.loaded()
    ran = bare.run(MANY_BYTES)
    waiting = sum(seen.state == RunState.WAITING for seen in ran.seen)
    if not waiting:
        raise NotTestable("This model's answer had no character in several pieces.")
    try:
        ran.text.decode()
    except UnicodeDecodeError as error:
        return judged(False, f"{waiting} times WAITING; the texts of NORMAL are broken: {error}.")
    return judged(True, f"{waiting} times WAITING; the texts of NORMAL are whole.")


def fails_with_error(bare: RawLibrary) -> Verdict:
    """A prompt that is longer than the context."""
    bare.loaded()
    ran = bare.run("word " * 100_000)
    failed = ran.status != 0 or any(seen.state == RunState.ERROR for seen in ran.seen)
    again = bare.run()
    return judged(
        failed and again.status == 0, f"{states_of(ran)}; the next run returned {again.status}."
    )


def pauses(bare: RawLibrary) -> Verdict:
    """A callback that returns 1."""
    if bare.release in ("1.1.4", "1.2.0"):
        raise NotTestable("A callback of this release returns nothing.")
    bare.loaded()
    whole = _spoken(bare)
    bare.reply = 1
    first = bare.run()
    bare.reply = 0
    rest = bare.run("")
    holds = (
        first.status == 0
        and len(first.seen) < len(whole.seen)
        and RunState.FINISH not in first.states
    )
    return judged(holds, f"Paused: {states_of(first)}; then: {states_of(rest)}.")


def runs_asynchronously(bare: RawLibrary) -> Verdict:
    """rkllm_run_async."""
    bare.loaded()
    ran = bare.run(function="rkllm_run_async")
    deadline = time.monotonic() + 30
    while not any(s.state in LAST_STATES for s in bare.seen) and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = any(seen.state == RunState.FINISH for seen in bare.seen)
    return judged(
        ran.status == 0 and ended,
        f"It returned {ran.status}; {len(bare.seen)} callbacks; FINISH"
        f" {'came' if ended else 'did not come within 30 s'}.",
    )


def _spoken(bare: RawLibrary) -> RunRecord:
    """A run that says something."""
    ran = bare.run()
    if len(ran.seen) < 2:
        raise NotTestable(f"The model says too little: {states_of(ran)}.")
    return ran
