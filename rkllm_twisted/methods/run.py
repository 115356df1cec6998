"""``rkllm.run``."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IRKLLMMethod, IWritesFile
from rkllm_twisted.methods._saving import check_saving
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import Result, RunState

#: Parts of a result that hold float arrays -> the member that is the array.
ARRAYS = {"last_hidden_layer": "hidden_states", "logits": "logits"}


@attrs.define(eq=False)
class JoinedResult:
    """Many partial results on their way to being one.

    With ``n_batch`` > 1 partial results have ``results``, one per row, and so has the joined one.
    """

    _texts: list[str] = attrs.field(factory=list)
    _parts: dict[str, object] = attrs.field(factory=dict)
    _rows: list[JoinedResult] = attrs.field(factory=list)

    def add(self, result: Result) -> None:
        """Take in one partial result.

        Text counts in state NORMAL only: a WAITING callback announces a character whose bytes are
        not all there, and the next NORMAL one brings it whole.
        """
        if result["_callback_state"] == RunState.NORMAL and result["text"] is not None:
            self._texts.append(result["text"])
        for part, array in ARRAYS.items():
            if result.get(part) and result[part][array] is not None:
                self._parts[part] = result[part]
        for number, row in enumerate(result.get("results", ())):
            if number == len(self._rows):
                self._rows.append(JoinedResult())
            self._rows[number].add({**row, "_callback_state": result["_callback_state"]})

    def finish(self, final: Result) -> Result:
        """Return the one result: the last one's figures, all the text, and the arrays that came."""
        self.add(final)
        whole = self._whole(final)
        if self._rows:
            bare = {name: value for name, value in final.items() if name != "_callback_state"}
            whole["results"] = [row._whole(bare) for row in self._rows]
        return whole

    def _whole(self, final: Result) -> dict[str, Any]:
        return {**final, **self._parts, "text": "".join(self._texts)}


@implementer(IPlugin, IRKLLMMethod, IWritesFile)
@attrs.frozen
class Run:
    """Answers once, when the run is over."""

    name = "rkllm.run"
    function = "rkllm_run"
    summary = "Run the model and answer once: the RKLLMResult with all the text joined."
    params = None
    streams = False

    def call(self, call: ICall) -> object:
        """Queue the run."""
        check_saving(call.conversation, call.params)
        joined = JoinedResult()
        done = call.npu.run(
            self.function, call.params, joined.add, call.conversation, call.encode_floats
        )
        return done.addCallback(_finished, joined, call)


def _finished(final: Result, joined: JoinedResult, call: ICall) -> Result:
    return joined.finish(checked(final, call))


def checked(final: Result, call: ICall) -> Result:
    """Return the last result of a run.

    :raises RuntimeRefused: the run ended in an error.
    """
    has_failed = final["_callback_state"] == RunState.ERROR
    return check_run(final, call.npu.status().max_context_len if has_failed else None)


run = Run()
