"""A part of an answer that no form constrains, and where it ended. In the NPU thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rkllm_twisted.inference.answer_reader import AnswerReader
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import Result


def free_run(
    turn: ITurn,
    run_input: Mapping[str, object],
    infer: Mapping[str, object],
    reader: AnswerReader,
    context: int,
) -> Result:
    """Make a run that the reader may end.

    :param infer: further fields of its RKLLMInferParam.
    :param context: the model's room in tokens.
    :returns: the last result.
    :raises RPCError: the run failed, or the client has cancelled.
    """

    def on_result(result: Result) -> None:
        if reader.take(result):
            turn.abort()

    params: Any = [run_input, {**infer, "keep_history": 1}]
    final = turn.perform(turn.prepare("rkllm_run", params), on_result)
    turn.check()
    return check_run(final, context)


def place_of_end(texts: Sequence[bytes], came: Sequence[int], end: str) -> tuple[int, str]:
    """Return the token in which the last text of some tokens begins, and its text before that.

    :param texts: the bytes of each token by its id.
    :param came: the tokens.
    :param end: their last text.
    """
    room, at = len(end.encode()), len(came)
    while room > 0 and at > 0:
        at -= 1
        room -= len(texts[came[at]])
    return at, texts[came[at]][:-room].decode(errors="replace") if room < 0 else ""


def text_of_tokens(texts: Sequence[bytes], tokens: Sequence[int]) -> str | None:
    """Return the text of tokens; None if they end inside a character."""
    try:
        return b"".join(texts[one] for one in tokens).decode()
    except UnicodeDecodeError:
        return None
