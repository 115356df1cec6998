"""Checks that the runtime reads control tokens in the slots of its template. In the NPU thread."""

from __future__ import annotations

from typing import Any

from rkllm_twisted.chat.families import marks_in
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.plan import CLEAR, Plan
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.whole_run import RUN, RunAbortedError, check_whole
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import Result

SET_TEMPLATE = "rkllm_set_chat_template"
#: The text of the runs that are made for the check.
PROMPT = "The"
#: How often a mark stands in each slot.
MARKS_PER_SLOT = 4
#: The most tokens that this may add: the marks of three slots, and an end token or two. As letters,
#: a mark has at least three tokens: <, s and >.
MAX_ADDED_TOKENS = 3 * MARKS_PER_SLOT + 3
#: The marks before messages, which a template has as control tokens or not at all.
_TURNS = frozenset(
    mark for family in FAMILIES for mark in marks_in(family.user.prefix, family.assistant.prefix)
)


def check_slots(turn: ITurn, made: Plan, watch: CacheWatch) -> None:
    """Count the tokens of marks in the slots, once for each load of a model.

    Two runs of one token each are made, with marks in the slots and without. The caller clears the
    cache and fills the slots afterwards. A run without figures proves nothing and passes.

    :raises RuntimeRefused: the marks are read as letters, or a run was aborted.
    """
    if watch.slots_load != turn.loads:
        mark = _mark_of(made)
        watch.slots_load, watch.has_slot_marks = turn.loads, True
        if mark is not None:
            try:
                plain, marked = (_read(turn, text) for text in ("", mark * MARKS_PER_SLOT))
            except RunAbortedError:
                watch.slots_load = None  # it has proved nothing: the next request asks again
                raise
            watch.has_slot_marks = not plain or marked - plain <= MAX_ADDED_TOKENS
    if not watch.has_slot_marks:
        raise RuntimeRefused(
            "The runtime reads the marks of the model's template as letters, so that the model"
            " would answer badly; put the model's tokenizer.json beside it and load it again.",
            RUN,
        )


def _mark_of(made: Plan) -> str | None:
    """Return a mark of the template's, or None if it has none that is known."""
    slots = (
        str(text) for call in made.calls if call.function == SET_TEMPLATE for text in call.params
    )
    return next((mark for mark in marks_in(*slots) if mark in _TURNS), None)


def _read(turn: ITurn, text: str) -> int:
    """Return how many tokens a run reads with this text in each slot; 0 if it does not say."""
    turn.perform(turn.prepare(SET_TEMPLATE, [text, text, text]))
    turn.perform(turn.prepare(CLEAR.function, list(CLEAR.params)))

    def on_result(_: Result) -> None:
        turn.abort()

    infer = {"mode": "RKLLM_INFER_GENERATE", "keep_history": 0}
    params: Any = [{"input_type": "RKLLM_INPUT_PROMPT", "prompt_input": PROMPT}, infer]
    final = turn.perform(turn.prepare("rkllm_run", params), on_result)
    turn.check()
    check_whole(final)
    read: int = (final.get("perf") or {}).get("prefill_tokens", 0)
    return read
