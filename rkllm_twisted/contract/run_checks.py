"""Checks of loading, and of the callbacks and the end of runs."""

from __future__ import annotations

import threading
import time

from rkllm_twisted.contract.raw_library import RawLibrary, RunRecord
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.values import LAST_STATES, RunState

#: The seconds to wait for callbacks that should not come.
LISTEN_S = 2.0
#: A text whose answer is likely to have characters of several bytes.
MANY_BYTES = "Repeat exactly: 😀 日本語 ñ é ü"
GENERATE, HIDDEN, LOGITS = 0, 1, 2


def says_version(library: RawLibrary) -> Verdict:
    """The layout is known from the library's own text."""
    return judged(
        library.known.version is not None, f"Layout {library.release}: {library.known.reason}."
    )


def loads(library: RawLibrary) -> Verdict:
    """rkllm_init returns 0 and a handle."""
    began = time.monotonic()
    status = library.init()
    seconds = time.monotonic() - began
    holds = status == 0 and bool(library.handle)
    handle = "a handle" if library.handle else "no handle"
    return judged(holds, f"rkllm_init returned {status} and {handle} after {seconds:.1f} s.")


def refuses_missing_model(library: RawLibrary) -> Verdict:
    """rkllm_init refuses a file that does not exist."""
    status = library.init(model_path="/nonexistent/model.rkllm")
    return judged(status != 0 or not library.handle, f"rkllm_init returned {status}.")


def refuses_long_context(library: RawLibrary) -> Verdict:
    """rkllm_init refuses a context that no model has."""
    status = library.init(max_context_len=1 << 24)
    return judged(status != 0 or not library.handle, f"rkllm_init returned {status}.")


def states_of(ran: RunRecord) -> str:
    """Describe a run in words."""
    states = " ".join(map(str, ran.states)) or "none"
    return (
        f"rkllm_run returned {ran.status} after {len(ran.callbacks)} callbacks in states {states}"
    )


def ends_with_finish(library: RawLibrary) -> Verdict:
    """In the mode that generates, FINISH comes once, at the end."""
    library.load()
    ran = library.run()
    finishes = [callback for callback in ran.callbacks if callback.state == RunState.FINISH]
    holds = ran.status == 0 and len(finishes) == 1 and ran.callbacks[-1] is finishes[0]
    return judged(holds, f"{states_of(ran)}; FINISH came {len(finishes)} times.")


def logits_end_with_return(library: RawLibrary) -> Verdict:
    """In the mode for logits, they come before the return."""
    if library.release == "1.1.4":
        raise NotTestable("Release 1.1.x has no mode for logits.")
    return _arrays(library, LOGITS)


def hidden_end_with_return(library: RawLibrary) -> Verdict:
    """In the mode for hidden states, they come before the return."""
    return _arrays(library, HIDDEN)


def _arrays(library: RawLibrary, mode: int) -> Verdict:
    library.load()
    ran = library.run(mode=mode)
    time.sleep(LISTEN_S)
    late = len(library.callbacks) - len(ran.callbacks)
    brought = sum(callback.has_arrays for callback in ran.callbacks)
    finish = (
        "came"
        if any(callback.state == RunState.FINISH for callback in ran.callbacks)
        else "did not come"
    )
    holds = ran.status == 0 and brought > 0 and not late
    return judged(
        holds,
        f"{states_of(ran)}, {brought} of them with arrays; FINISH {finish}; {late} came late.",
    )


def calls_back_on_callers_thread(library: RawLibrary) -> Verdict:
    """Callbacks come on the thread that called rkllm_run."""
    library.load()
    ran = _run_with_answer(library)
    here = threading.get_native_id()
    other = sum(callback.thread != here for callback in ran.callbacks)
    return judged(other == 0, f"{other} of {len(ran.callbacks)} callbacks came on another thread.")


def brings_userdata(library: RawLibrary) -> Verdict:
    """Each of two runs brings its own userdata."""
    library.load()
    first, second = library.run(userdata=7), library.run(userdata=8)
    brought = [{callback.userdata for callback in ran.callbacks} for ran in (first, second)]
    return judged(brought == [{7}, {8}], f"Runs with 7 and 8 brought {brought[0]}, {brought[1]}.")


def figures_with_finish(library: RawLibrary) -> Verdict:
    """perf has figures in the last callback only."""
    library.load()
    ran = _run_with_answer(library)
    if ran.callbacks[-1].generated is None:
        raise NotTestable(f"A result of release {library.release} has no figures.")
    early = sum(
        bool(callback.generated)
        for callback in ran.callbacks
        if callback.state in (RunState.NORMAL, RunState.WAITING)
    )
    last = ran.callbacks[-1].generated
    return judged(
        early == 0 and last > 0, f"{early} callbacks before the last had figures; the last: {last}."
    )


def waits_for_characters(library: RawLibrary) -> Verdict:
    """The texts of NORMAL callbacks are whole characters."""
    library.load()
    ran = library.run(MANY_BYTES)
    waiting = sum(callback.state == RunState.WAITING for callback in ran.callbacks)
    if not waiting:
        raise NotTestable("This model's answer had no character in several pieces.")
    try:
        ran.text.decode()
    except UnicodeDecodeError as error:
        return judged(False, f"{waiting} times WAITING; the texts of NORMAL are broken: {error}.")
    return judged(True, f"{waiting} times WAITING; the texts of NORMAL are whole.")


def fails_with_error(library: RawLibrary) -> Verdict:
    """A prompt that is longer than the context fails, and the next run works."""
    library.load()
    ran = library.run("word " * 100_000)
    failed = ran.status != 0 or any(callback.state == RunState.ERROR for callback in ran.callbacks)
    again = library.run()
    return judged(
        failed and again.status == 0, f"{states_of(ran)}; the next run returned {again.status}."
    )


def pauses(library: RawLibrary) -> Verdict:
    """A callback that returns 1 ends the run, and the next run continues it."""
    if library.release in ("1.1.4", "1.2.0"):
        raise NotTestable("A callback of this release returns nothing.")
    library.load()
    whole = _run_with_answer(library)
    library.callback_returns = 1
    first = library.run()
    library.callback_returns = 0
    rest = library.run("")
    holds = (
        first.status == 0
        and len(first.callbacks) < len(whole.callbacks)
        and RunState.FINISH not in first.states
    )
    return judged(holds, f"Paused: {states_of(first)}; then: {states_of(rest)}.")


def runs_asynchronously(library: RawLibrary) -> Verdict:
    """rkllm_run_async calls back and ends with FINISH."""
    library.load()
    ran = library.run(function="rkllm_run_async")
    deadline = time.monotonic() + 30
    while (
        not any(s.state in LAST_STATES for s in library.callbacks) and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    ended = any(callback.state == RunState.FINISH for callback in library.callbacks)
    return judged(
        ran.status == 0 and ended,
        f"It returned {ran.status}; {len(library.callbacks)} callbacks; FINISH"
        f" {'came' if ended else 'did not come within 30 s'}.",
    )


def _run_with_answer(library: RawLibrary) -> RunRecord:
    """Run, and require an answer of several callbacks."""
    ran = library.run()
    if len(ran.callbacks) < 2:
        raise NotTestable(f"The model's answer is too short: {states_of(ran)}.")
    return ran
