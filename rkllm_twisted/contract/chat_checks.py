"""Checks of what chat relies on: marks, tokens, and the beginning that a cache keeps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.contract.raw_library import RawLibrary, RunRecord
from rkllm_twisted.contract.state_checks import needs_cache_size
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.values import LAST_STATES

#: How often a mark is repeated, so that an end token more or less does not change the verdict.
MARK_REPEATS = 4
SLOTS = ("system_prompt", "prompt_prefix", "prompt_postfix")
NO_MARKS = (
    "This model has none of the marks that the daemon knows; its tokenizer.json beside it names"
    " others."
)
#: The most tokens of an answer that should end earlier, of itself.
MAX_ANSWER_TOKENS = 400
LONG_PROMPT = "A long text, the same each time. " * 20
#: A template that adds many tokens to each prompt.
LONG_TEMPLATE = (
    "{% for m in messages %}" + "many more words " * 10 + "{{ m['content'] }}{% endfor %}"
)


def appends_tokens(library: RawLibrary) -> Verdict:
    """TOKEN input with keep_history adds its tokens to the cache, and no template."""
    tokens = _some_tokens(library)
    library.clear()
    given, before, read, added = len(tokens), library.cache_size(), [], []
    for _ in range(2):
        ran = library.run_tokens(tokens, keep_history=1)
        read.append(ran.prefilled)
        size = library.cache_size()
        added.append(size - before - len(_answered(ran)))
        before = size
    # The last token of an answer may be missing in the cache, or be followed by an end token.
    return judged(
        read == [given, given] and all(abs(one - given) <= 1 for one in added),
        f"{given} tokens, twice: {read[0]} and {read[1]} were read, and the cache grew by"
        f" {added[0]} and {added[1]} without the answers.",
    )


def prompt_has_no_marks(library: RawLibrary) -> Verdict:
    """A control token's text in a prompt is read as letters."""
    mark = _known_mark(library)
    grown = _grown(library, text=mark * MARK_REPEATS)
    return judged(
        not _is_mark(grown), f"{mark}, {MARK_REPEATS} times, is {grown} tokens in a prompt."
    )


def slots_have_marks(library: RawLibrary) -> Verdict:
    """A control token's text in each slot of rkllm_set_chat_template is a control token."""
    mark = _known_mark(library)
    grown = {slot: _grown(library, **{slot: mark * MARK_REPEATS}) for slot in SLOTS}
    seen = ", ".join(f"{number} in {slot}" for slot, number in grown.items())
    return judged(
        all(map(_is_mark, grown.values())), f"{mark}, {MARK_REPEATS} times: tokens {seen}."
    )


def keeps_system(library: RawLibrary) -> Verdict:
    """rkllm_clear_kv_cache with 1 keeps the tokens of the system slot, and nothing else."""
    needs_cache_size(library)
    library.load(max_new_tokens=1)
    _set_slots(library, system_prompt="Answer in one short sentence.")
    library.clear()
    first = library.run(keep_history=1)
    whole = library.cache_size()
    status = library.call("rkllm_clear_kv_cache", {"keep_system_prompt": 1})
    kept = library.cache_size()
    again = library.run(keep_history=0)  # kept, it might not be read again
    holds = (
        status == 0
        and 0 < kept < whole
        and first.prefilled == kept + again.prefilled
        and first.text == again.text
    )
    return judged(
        holds,
        f"It returned {status} and left {kept} of {whole} tokens; the same prompt read"
        f" {first.prefilled} tokens before and {again.prefilled} after it, and the answers are"
        f" {_compared(first, again)}.",
    )


def saves_prompt(library: RawLibrary) -> Verdict:
    """A saved prompt has the prompt's tokens, without the answer."""
    tokens = _some_tokens(library)
    longer = [*tokens, *reversed(tokens)]
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory, "saved"))
        saving = {"save_prompt_cache": 1, "prompt_cache_path": path}
        library.run_tokens(tokens, prompt_cache_params=saving)
        library.clear()
        whole = library.run_tokens(longer)
        if not Path(path).exists():
            return judged(False, "The run wrote no file.")
        library.destroy()
        library.load(max_new_tokens=1)
        status = library.call("rkllm_load_prompt_cache", {"prompt_cache_path": path})
        loaded = library.run_tokens(longer)
    held = len(longer) - loaded.prefilled
    return judged(
        status == 0 and held == len(tokens) and whole.text == loaded.text,
        f"rkllm_load_prompt_cache returned {status}; of a prompt of {len(tokens)} tokens {held}"
        f" were not read again, and the answers are {_compared(whole, loaded)}.",
    )


def reads_whole_prompt(library: RawLibrary) -> Verdict:
    """The same prompt is read whole again, if no history is kept."""
    library.load(max_new_tokens=1)
    first, second = (library.run(LONG_PROMPT, keep_history=0) for _ in range(2))
    return judged(
        first.prefilled == second.prefilled,
        f"The same prompt, twice, read {first.prefilled} and {second.prefilled} tokens; the"
        f" answers are {_compared(first, second)}.",
    )


def reuses_beginning(library: RawLibrary) -> Verdict:
    """After a clear, a prompt that is kept is not read again as far as it is the same."""
    library.load(max_new_tokens=1)
    first = library.run(LONG_PROMPT, keep_history=1)
    library.clear()
    second = library.run(LONG_PROMPT, keep_history=1)
    return judged(
        second.prefilled < first.prefilled / 2 and first.text == second.text,
        f"The same prompt, twice with a clear in between, read {first.prefilled} and"
        f" {second.prefilled} tokens; the answers are {_compared(first, second)}.",
    )


def ignores_template_file(library: RawLibrary) -> Verdict:
    """A chat_template.jinja beside the model does not change what the model reads."""
    needs_cache_size(library)
    sizes = []
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory, "model" + Path(library.model).suffix)
        model.symlink_to(Path(library.model).resolve())
        for has_template in (False, True):
            if has_template:
                Path(directory, "chat_template.jinja").write_text(LONG_TEMPLATE)
            library.load(model_path=str(model), max_new_tokens=1)
            library.run(keep_history=1)
            sizes.append(library.cache_size())
            library.destroy()
    return judged(
        sizes[0] == sizes[1],
        f"The same prompt filled {sizes[0]} tokens without the file and {sizes[1]} with it.",
    )


def answer_ends(library: RawLibrary) -> Verdict:
    """The model's end token ends an answer."""
    library.load(max_new_tokens=MAX_ANSWER_TOKENS)
    written = len(_answered(library.run()))
    return judged(
        0 < written < MAX_ANSWER_TOKENS,
        f"The answer had {written} tokens; the limit was {MAX_ANSWER_TOKENS}, the release"
        f" {library.release}.",
    )


def _answered(ran: RunRecord) -> list[int]:
    """Return the ids of an answer's tokens.

    :raises NotTestable: the run failed.
    """
    if ran.status != 0:
        raise NotTestable(f"rkllm_run returned {ran.status}.")
    return [one.token for one in ran.callbacks if one.state not in LAST_STATES]


def _some_tokens(library: RawLibrary) -> list[int]:
    """Load the model, and return a few tokens that it knows: those of an answer.

    The model is then loaded for answers of one token.
    """
    needs_cache_size(library)
    library.load(max_new_tokens=8)
    tokens = _answered(library.run())
    if len(tokens) < 3 or min(tokens) < 0:
        raise NotTestable(f"The callbacks of an answer named too few tokens: {tokens}.")
    library.destroy()
    library.load(max_new_tokens=1)
    return tokens


def _known_mark(library: RawLibrary) -> str:
    """Load the model, and return the text of one of its control tokens.

    :raises NotTestable: none is known.
    """
    needs_cache_size(library)
    library.load(max_new_tokens=1)
    known = dict.fromkeys(mark for family in FAMILIES for mark in family.marks)
    if named := _named_marks(Path(library.model).with_name("tokenizer.json")):
        return next((mark for mark in named if mark in known), named[0])
    for mark in known:
        if _is_mark(_grown(library, prompt_prefix=mark * MARK_REPEATS)):
            return mark
    raise NotTestable(NO_MARKS)


def _named_marks(tokenizer: Path) -> list[str]:
    try:
        added = json.loads(tokenizer.read_text())["added_tokens"]
        return [one["content"] for one in added if one["special"] and len(one["content"]) > 1]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_mark(grown: int) -> bool:
    return abs(grown - MARK_REPEATS) <= 1


def _grown(library: RawLibrary, *, text: str = "", **slots: str) -> int:
    """Return how many tokens a text adds to a prompt, in the prompt itself or in a slot."""
    sizes = []
    for more, given in (("", {}), (text, slots)):
        _set_slots(library, **given)
        library.clear()
        library.run(f"Hello. {more}", keep_history=1)
        sizes.append(library.cache_size())
    return sizes[1] - sizes[0]


def _set_slots(library: RawLibrary, **slots: str) -> None:
    given: dict[str, Any] = {slot: slots.get(slot, "") for slot in SLOTS}
    status = library.call("rkllm_set_chat_template", given)
    if status != 0:
        raise NotTestable(f"rkllm_set_chat_template returned {status}.")


def _compared(one: RunRecord, other: RunRecord) -> str:
    return "equal" if one.text == other.text else "different"
