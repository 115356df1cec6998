"""The one function that C calls: results come in here, and no exception goes out.

A run is known to C by a number, not by an address: a callback that comes late, after its run has
ended, has a number that nobody listens to any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import threading
from collections.abc import Callable

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.runtime.text import RunText
from rkllm_twisted.values import LAST_STATES, RunState

#: What a callback returns: let the run go on, pause it (both rkllm.h 1.2.1; before, a callback
#: returns nothing), and go on but release the output buffer (rkllm.h 1.3.0).
_GO_ON, _PAUSE, _RELEASE = 0, 1, 2
#: Releases in which the output buffer of a callback is kept until it is released.
_KEEPING = frozenset({"1.3.0"})

#: Every trampoline ever made. C keeps their addresses, and no library is ever unloaded: one that
#: calls back late would call into freed memory.
_FOR_EVER: list[CData] = []

OnResult = Callable[[dict[str, object]], object]


class RunCallbacks:
    """The results of one run, on their way from C to whoever asked for them.

    :param number: the run's userdata in C.
    :param rows: answers computed at once (``n_batch``). With more than one, C gives an array of
        results in states NORMAL and WAITING; it is passed on as the first one's fields and, in
        ``results``, all of them.
    :param stop: called, in a thread of its own, when ``on_result`` has failed.
    """

    def __init__(
        self,
        layout: Layout,
        number: int,
        rows: int,
        on_result: OnResult | None,
        stop: Callable[[], object],
    ) -> None:
        self.number = number
        #: Set when the last result of the run has come.
        self.ended = threading.Event()
        #: Has a result come, or was it aborted? Before, C may not have begun the run.
        self.begun = False
        #: Shall the next callback pause it?
        self.pausing = False
        self._layout = layout
        self._on_result = on_result
        self._stop = stop
        self._texts = [RunText() for _ in range(rows)]
        self._failure: BaseException | None = None
        self._stopper: threading.Thread | None = None

    def receive(self, pointer: CData, state: int) -> int:
        """Copy and pass on what C gives. Called in C's thread; raises nothing.

        :returns: what C is to do.
        """
        self.begun = True
        pausing = self.pausing  # what is asked for from now on is for the next callback
        try:
            if self._failure is None and self._on_result is not None:
                self._on_result({**self._read(pointer, state), "_callback_state": state})
        except BaseException as failure:  # noqa: BLE001 - C could not do anything with it
            self._fail(failure)
        if state in LAST_STATES:
            self.ended.set()
            return _GO_ON
        if pausing:
            self.ended.set()
            return _PAUSE
        # Everything is copied by now, so nothing is lost with the buffer.
        return (
            _RELEASE if self._layout.release.name in _KEEPING and _has_arrays(pointer) else _GO_ON
        )

    def close(self) -> None:
        """End the run, once C has: raise what went wrong in a callback."""
        if self._stopper is not None:
            # It must not outlive the run: it would stop the next one.
            self._stopper.join()
        if self._failure is not None:
            raise self._failure

    def _read(self, pointer: CData, state: int) -> dict[str, object]:
        # FINISH and ERROR deliver one result, however many rows there are.
        if len(self._texts) == 1 or state in LAST_STATES or not pointer:
            return self._row(pointer.contents if pointer else None, self._texts[0], state)
        rows = [self._row(pointer[i], text, state) for i, text in enumerate(self._texts)]
        return {**rows[0], "results": rows}

    def _row(self, result: CData | None, text: RunText, state: int) -> dict[str, object]:
        if result is None:
            result = self._layout.structs["RKLLMResult"]()
        row = to_json(self._layout, result)
        row["text"] = _reading(text, state)(result.text)
        return row

    def _fail(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
            # Not in this thread: C may hold a lock while it calls back.
            with contextlib.suppress(RuntimeError):  # no thread to be had: the run goes on
                stopper = threading.Thread(target=self._stop, name="rkllm-stop", daemon=True)
                stopper.start()
                self._stopper = stopper


def _has_arrays(pointer: CData) -> bool:
    """Did the result bring hidden states or logits?"""
    if not pointer:
        return False
    result = pointer.contents
    return bool(result.last_hidden_layer.hidden_states) or bool(result.logits.logits)


def _reading(text: RunText, state: int) -> Callable[[bytes | None], str | None]:
    if state in LAST_STATES:
        return text.last
    return text.waiting if state == RunState.WAITING else text.normal


class ResultCallback:
    """The trampoline. It lives as long as the library, which keeps its address.

    :param stop: stops the run under way.
    """

    def __init__(self, layout: Layout, stop: Callable[[], object]) -> None:
        self._layout = layout
        self._stop = stop
        self._numbers = itertools.count(1)
        self._run: RunCallbacks | None = None
        trampoline = layout.callbacks["LLMResultCallback"](self._receive)
        _FOR_EVER.append(trampoline)
        #: What rkllm_init takes: the function, or since 1.3.0 a structure of functions.
        self.argument = trampoline
        if "RKLLMCallback" in layout.structs:
            self._callbacks = layout.structs["RKLLMCallback"](result_callback=trampoline)
            self.argument = ctypes.pointer(self._callbacks)

    def begin(self, rows: int, on_result: OnResult | None) -> RunCallbacks:
        """Listen to a new run."""
        self._run = RunCallbacks(self._layout, next(self._numbers), rows, on_result, self._stop)
        return self._run

    def aborted(self) -> None:
        """The run under way, if there is one, was aborted: C may send nothing more."""
        run = self._run
        if run is not None:
            run.begun = True

    def pause(self) -> bool:
        """Let the next callback pause the run under way.

        :returns: whether there is one.
        """
        run = self._run
        if run is not None:
            run.pausing = True
        return run is not None

    def end(self) -> None:
        """Listen no more: what still comes reaches nobody."""
        self._run = None

    def _receive(self, pointer: CData, userdata: int | None, state: int) -> int:
        run = self._run
        if run is not None and userdata == run.number:
            return run.receive(pointer, state)
        return _GO_ON
