"""The one function that C calls. Results come in here, and no exception goes out.

C knows a run by a number, not by an address: the number of a callback that comes after its run has
ended belongs to no run, and the callback is ignored.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.result_copy import CallbackCopy, TokenCopies, fields_of, structure_of
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.runtime.result_encoder import RESULT, ResultEncoder
from rkllm_twisted.runtime.run_text import RunText
from rkllm_twisted.values import LAST_STATES, RunState
from rkllm_twisted.wire.encoded_result import EncodedResult

#: What a callback returns: continue the run, pause it (both rkllm.h 1.2.1; before, a callback
#: returns nothing), or continue and release the output buffer (rkllm.h 1.3.0).
_CONTINUE, _PAUSE, _RELEASE = 0, 1, 2
_NORMAL = int(RunState.NORMAL)

#: Takes the results of one callback: there is one.
OnRKLLMResults = Callable[[Sequence[Mapping[str, object]]], object]


class RunCallbacks:
    """The callbacks of one run.

    :param number: the run's userdata in C.
    :param encoder: of the layout, for results that are passed on as they are.
    :param rows: ``n_batch``. If it is greater than 1, C sends an array of results in the states
        NORMAL and WAITING; the result has the fields of the first one and, in ``results``, all.
    :param on_results: called with each result, in a list.
    :param stop: called, in a thread of its own, when ``on_results`` has failed.
    """

    def __init__(
        self,
        layout: Layout,
        encoder: ResultEncoder,
        number: int,
        rows: int,
        on_results: OnRKLLMResults | None,
        stop: Callable[[], object],
    ) -> None:
        self.number = number
        #: Set when the last result of the run has come.
        self.ended = threading.Event()
        #: True once a result has come or the run was aborted. Before, C may not have begun it.
        self.begun = False
        #: True if the next callback is to pause the run.
        self.pausing = False
        self._layout = layout
        self._encoder = encoder
        self._on_results = on_results
        self._stop = stop
        self.rows = rows
        self._texts = [RunText() for _ in range(rows)]
        self._failure: BaseException | None = None
        self._stopper: threading.Thread | None = None

    def receive(self, pointer: CData, state: int) -> int:
        """Copy a result and pass it on. Called in C's thread; raises nothing.

        :returns: what C must do next.
        """
        self.begun = True
        pausing = self.pausing  # read once: a later request is for the next callback
        result: object = None
        try:
            if self._failure is None and self._on_results is not None:
                result = self._read(pointer, state)
                self._on_results((result,))
        except BaseException as failure:  # noqa: BLE001 - must not cross into C
            self._fail(failure)
        if state in LAST_STATES:
            self.ended.set()
            return _CONTINUE
        if pausing:
            self.ended.set()
            return _PAUSE
        if type(result) is EncodedResult:  # it has no arrays
            return _CONTINUE
        # All arrays are copied by now: the buffer may go.
        keeps = self._layout.release.keeps_arrays and bool(pointer)
        return _RELEASE if keeps and self._encoder.has_arrays(pointer.contents) else _CONTINUE

    def take(self, copies: Sequence[CallbackCopy | TokenCopies]) -> None:
        """Pass on the results of callbacks that another process has copied and returned from.

        Those of another run are ignored.

        :raises ValueError: one is not what its process must send.
        """
        results: list[Mapping[str, object]] = []
        for copy in copies:
            if copy.userdata != self.number:
                continue
            self.begun = True
            if self._failure is None and self._on_results is not None:
                try:
                    if isinstance(copy, TokenCopies):
                        results += self._read_tokens(copy)
                    else:
                        results.append(self._read_copy(copy))
                except RuntimeRefused as failure:
                    self._fail(failure)
            if isinstance(copy, CallbackCopy) and copy.state in LAST_STATES:
                self.ended.set()
        if results and self._on_results is not None:
            try:
                self._on_results(results)
            except Exception as failure:  # noqa: BLE001 - raised when C has returned
                self._fail(failure)

    def close(self) -> None:
        """End the run after C has returned; raise the error of a callback, if there was one."""
        if self._stopper is not None:
            # If it outlived the run, it would stop the next one.
            self._stopper.join()
        if self._failure is not None:
            raise self._failure

    def _read(self, pointer: CData, state: int) -> Mapping[str, object]:
        # FINISH and ERROR deliver one result, however many rows there are.
        if len(self._texts) > 1 and state not in LAST_STATES and pointer:
            return self._rows([pointer[i] for i in range(len(self._texts))], state)
        result = pointer.contents if pointer else self._layout.structs[RESULT]()
        if state != _NORMAL:
            return self._rows([result], state)
        text = self._texts[0].normal(result.text)
        encoded = self._encoder.encode(bytes(result), text)
        return self._with_text(result, text) if encoded is None else encoded

    def _read_tokens(self, copies: TokenCopies) -> Sequence[Mapping[str, object]]:
        if len(self._texts) > 1:
            return [self._read_copy(copy) for copy in copies.copies()]
        texts = self._texts[0].normals(copies.texts)
        encoded = self._encoder.encode_all(copies.structures, texts)
        if encoded is not None:
            return encoded
        return [self._read_token(*parts) for parts in zip(copies.copies(), texts, strict=True)]

    def _read_token(self, copy: CallbackCopy, text: str | None) -> Mapping[str, object]:
        [row] = copy.rows
        encoded = self._encoder.encode(row.structure, text)
        if encoded is not None:
            return encoded
        fields = fields_of(self._layout, row)
        return {**fields, "text": text, "_callback_state": _NORMAL}

    def _read_copy(self, copy: CallbackCopy) -> Mapping[str, object]:
        layout, state = self._layout, copy.state
        expected = 1 if state in LAST_STATES else len(self._texts)
        if len(copy.rows) not in (0, expected):
            raise ValueError(f"{len(copy.rows)} rows, not {expected}")
        if state == _NORMAL and len(copy.rows) == 1:
            return self._read_token(copy, self._texts[0].normal(copy.rows[0].text))
        made = [structure_of(layout, row) for row in copy.rows] or [layout.structs[RESULT]()]
        if state == _NORMAL and len(made) == 1:
            return self._with_text(made[0], self._texts[0].normal(None))
        return self._rows(made, state)

    def _rows(self, results: Sequence[CData], state: int) -> Mapping[str, object]:
        pairs = zip(results, self._texts, strict=False)
        rows = [self._row(result, text, state) for result, text in pairs]
        several = {"results": rows} if len(rows) > 1 else {}
        return {**rows[0], **several, "_callback_state": state}

    def _with_text(self, result: CData, text: str | None) -> Mapping[str, object]:
        return {**to_json(self._layout, result), "text": text, "_callback_state": _NORMAL}

    def _row(self, result: CData, text: RunText, state: int) -> dict[str, object]:
        row = to_json(self._layout, result)
        row["text"] = text.reading(state)(result.text)
        return row

    def _fail(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
            # Not in this thread: C may hold a lock while it calls back.
            with contextlib.suppress(RuntimeError):  # no thread can be started: the run goes on
                stopper = threading.Thread(target=self._stop, name="rkllm-stop", daemon=True)
                stopper.start()
                self._stopper = stopper


class ResultCallback:
    """The receiver of all callbacks. It lives as long as the library, which may call late.

    :param stop: stops the current run.
    """

    def __init__(self, layout: Layout, stop: Callable[[], object]) -> None:
        self._layout = layout
        self._encoder = ResultEncoder(layout)
        self._stop = stop
        self._numbers = itertools.count(1)
        self._run: RunCallbacks | None = None

    def begin(self, rows: int, on_results: OnRKLLMResults | None) -> RunCallbacks:
        """Pass the callbacks of a new run on."""
        number = next(self._numbers)
        self._run = RunCallbacks(self._layout, self._encoder, number, rows, on_results, self._stop)
        return self._run

    @property
    def expected(self) -> tuple[int, int]:
        """``n_batch`` and the userdata of the current run; 1 and 0 if there is none."""
        return (1, 0) if self._run is None else (self._run.rows, self._run.number)

    def aborted(self) -> None:
        """Record that the current run, if there is one, was aborted: C may send nothing more."""
        run = self._run
        if run is not None:
            run.begun = True

    def pause(self) -> bool:
        """Make the next callback pause the current run.

        :returns: True if there is a run.
        """
        run = self._run
        if run is not None:
            run.pausing = True
        return run is not None

    def end(self) -> None:
        """Ignore the callbacks that still come."""
        self._run = None

    def receive(self, pointer: CData, userdata: int | None, state: int) -> int:
        """Take what C calls back with, in C's thread; see :meth:`RunCallbacks.receive`."""
        run = self._run
        if run is not None and userdata == run.number:
            return run.receive(pointer, state)
        return _CONTINUE

    def take(self, copies: Sequence[CallbackCopy | TokenCopies]) -> None:
        """Take what another process was called back with; see :meth:`RunCallbacks.take`."""
        if self._run is not None:
            self._run.take(copies)

    def returned(self) -> None:
        """Record that the current run has ended in another process."""
        if self._run is not None:
            self._run.ended.set()
