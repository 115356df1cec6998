"""Checks by a run's own figures that the runtime reads exactly the tokens that it is given."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from rkllm_twisted.chat.plan import Plan
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.whole_run import RUN
from rkllm_twisted.interfaces import ITurn

#: The reason in the data of :func:`not_continued`.
NOT_CONTINUED = "not_continued"

_log = Logger("rkllm.chat")


def is_exact(made: Plan, perf: Mapping[str, int]) -> bool:
    """Return False if a run has read other tokens than the plan says.

    A run after a cleared cache may read fewer: the runtime may still have its beginning.

    :param perf: the figures of the run (RKLLMPerfStat, since 1.2.1); empty if there are none.
    """
    read, given = perf.get("prefill_tokens", 0), made.new_tokens
    if given is None or not read:
        return True
    return read == given if made.continued else read <= given


def stop_continuing(turn: ITurn, watch: CacheWatch, made: Plan, perf: Mapping[str, int]) -> None:
    """Read conversations whole from here on, until a model is loaded, and log why, once."""
    if watch.inexact_load != turn.loads:
        watch.inexact_load = turn.loads
        turn.deliver(
            _log.warn,
            f"The runtime read {perf.get('prefill_tokens')} tokens and was given {made.new_tokens}:"
            " until a model is loaded, each conversation is read whole. The command"
            " rkllm doctor --contract (row: tokens appended) tells more.",
        )


def not_continued() -> RuntimeRefused:
    """Return the error for an answer that has begun although the model read something else."""
    return RuntimeRefused(
        "The runtime did not go on with the conversation as it should; send the request again, and"
        " the conversation is read whole.",
        {**RUN, "reason": NOT_CONTINUED},
    )
