"""Checks of what answers in a form rely on: logits behind a cache that is kept."""

from __future__ import annotations

import time
from pathlib import Path

from rkllm_twisted.contract.raw_library import CallbackRecord, RawLibrary, RunRecord
from rkllm_twisted.contract.state_checks import needs_cache_size
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.values import RunState

LOGITS, HIDDEN = "RKLLM_INFER_GET_LOGITS", "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"
#: The tokens of an answer that logits are compared with.
MAX_COMPARED = 30
#: The runs whose memory is measured, and those before them.
MEASURED_RUNS, FIRST_RUNS = 1000, 20
#: What the process may have grown by in that time, in bytes.
MAX_GROWTH_BYTES = 32 * 2**20
#: The callback's return that releases the output buffer (rkllm.h 1.3.0).
RELEASE_BUFFER = 2


def returns_logits(library: RawLibrary) -> Verdict:
    """A run for logits with one token returns a row, once."""
    prompt, _ = _answer(library)
    library.run_tokens(prompt, mode=LOGITS, keep_history=1)
    ran = library.run_tokens(prompt[-1:], mode=LOGITS, keep_history=1)
    rows = [(one.rows, one.columns) for one in _with_arrays(ran)]
    return judged(
        ran.status == 0 and len(rows) == 1 and rows[0][0] == 1 and rows[0][1] > 1,
        f"rkllm_run returned {ran.status} after the states {ran.states}; rows and columns: {rows}.",
    )


def appends_one(library: RawLibrary) -> Verdict:
    """Each run adds its token to the cache, and its likeliest token is the answer's next."""
    prompt, answer = _answer(library)
    found = [_likeliest(library.run_tokens(prompt, mode=LOGITS, keep_history=1))]
    grown = []
    for token in answer[:-1]:
        before = library.cache_size()
        found.append(_likeliest(library.run_tokens([token], mode=LOGITS, keep_history=1)))
        grown.append(library.cache_size() - before)
    right = sum(one == other for one, other in zip(found, answer, strict=True))
    return judged(
        right == len(answer) and {*grown} <= {1},
        f"{right} of {len(answer)} tokens are those of the answer; the cache grew by"
        f" {sorted({*grown})} each time.",
    )


def appends_several(library: RawLibrary) -> Verdict:
    """The last row of a run with several tokens is the one behind the last of them."""
    prompt, answer = _answer(library)
    given = answer[: len(answer) // 2]
    library.run_tokens(prompt, mode=LOGITS, keep_history=1)
    before = library.cache_size()
    ran = library.run_tokens(given, mode=LOGITS, keep_history=1)
    grown, (last, *_) = library.cache_size() - before, _with_arrays(ran)[::-1]
    wanted = answer[len(given)]
    return judged(
        grown == len(given) and last.rows in (1, len(given)) and last.likeliest == wanted,
        f"{len(given)} tokens brought {last.rows} rows, the cache grew by {grown}; the likeliest"
        f" token is {last.likeliest} and the answer's next is {wanted}.",
    )


def reads_prompt_for_hidden(library: RawLibrary) -> Verdict:
    """A prompt that was read for hidden states goes on with logits, as one read for logits does."""
    prompt, answer = _answer(library)
    whole = _with_arrays(library.run_tokens(prompt, mode=LOGITS, keep_history=1))[-1]
    library.clear()
    library.run_tokens(prompt[:-1], mode=HIDDEN, keep_history=1)
    size = library.cache_size()
    found = _likeliest(library.run_tokens(prompt[-1:], mode=LOGITS, keep_history=1))
    return judged(
        size == len(prompt) - 1 and found == answer[0] == whole.likeliest,
        f"After {len(prompt) - 1} tokens the cache holds {size}; the likeliest token behind the"
        f" prompt is {found} and the answer's first is {answer[0]}. Read for logits, the"
        f" {len(prompt)} tokens bring {whole.rows} rows, and the likeliest is {whole.likeliest}.",
    )


def goes_on_after_pause(library: RawLibrary) -> Verdict:
    """A paused answer goes on with logits."""
    prompt, answer = _answer(library)
    library.callback_returns = 1
    library.run_tokens(prompt, keep_history=1)
    library.callback_returns = 0
    size = library.cache_size()
    read = size - len(prompt)  # the token that was told may have been read, or not
    if not 0 <= read < len(answer) - 1:
        return judged(False, f"{len(prompt)} tokens and one of the answer are {size} in the cache.")
    found = _likeliest(library.run_tokens([answer[read]], mode=LOGITS, keep_history=1))
    return judged(
        found == answer[read + 1],
        f"The cache held {read} tokens of the answer; behind its next one {found} is the"
        f" likeliest, and {answer[read + 1]} came when it was generated.",
    )


def frees_rows(library: RawLibrary) -> Verdict:
    """Many runs for logits do not let the process grow."""
    prompt, answer = _answer(library)
    began = time.monotonic()
    library.run_tokens(prompt, keep_history=0)
    generated_ms = 1000 * (time.monotonic() - began) / len(answer)
    library.callback_returns = RELEASE_BUFFER if library.release >= "1.3.0" else 0
    library.run_tokens(prompt, mode=LOGITS, keep_history=1)
    for _ in range(FIRST_RUNS):
        library.run_tokens(prompt[:1], mode=LOGITS, keep_history=0)
    before, began = _resident(), time.monotonic()
    for _ in range(MEASURED_RUNS):
        library.run_tokens(prompt[:1], mode=LOGITS, keep_history=0)
    run_ms = 1000 * (time.monotonic() - began) / MEASURED_RUNS
    grown = _resident() - before
    return judged(
        grown <= MAX_GROWTH_BYTES,
        f"{MEASURED_RUNS} runs: {grown / 2**20:.1f} MiB more. A run took {run_ms:.1f} ms, a"
        f" generated token {generated_ms:.1f} ms.",
    )


def _answer(library: RawLibrary) -> tuple[list[int], list[int]]:
    """Load the model so that it takes the likeliest token each time.

    :returns: the tokens of a prompt, and those of its answer. The cache is then empty.
    :raises NotTestable: the release has no logits, or the answer is too short.
    """
    needs_cache_size(library)
    library.load(
        max_new_tokens=MAX_COMPARED,
        repeat_penalty=1.0,
        frequency_penalty=0.0,
        presence_penalty=0.0,
    )
    prompt = _told(library.run())[3:8]
    library.clear()
    answer = _told(library.run_tokens(prompt, keep_history=0)) if len(prompt) > 1 else []
    library.clear()
    if len(answer) < 4 or min(answer) < 0:
        raise NotTestable(f"The callbacks of an answer named too few tokens: {answer}.")
    return prompt, answer


def _told(ran: RunRecord) -> list[int]:
    return [one.token for one in ran.callbacks if one.state == RunState.NORMAL]


def _with_arrays(ran: RunRecord) -> list[CallbackRecord]:
    """Return the callbacks that brought logits.

    :raises NotTestable: none has; the first check says so.
    """
    found = [one for one in ran.callbacks if one.rows]
    if ran.status == 0 and found:
        return found
    raise NotTestable(f"rkllm_run returned {ran.status} and {len(found)} rows of logits.")


def _likeliest(ran: RunRecord) -> int:
    return _with_arrays(ran)[-1].likeliest


def _resident() -> int:
    """Return the memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
