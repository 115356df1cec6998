"""Saves the prompts that come back to files, and restores them. In the NPU thread.

The first saved prompt of a model is tried before it is used: it is restored, the run is ended at
its first token, and then the whole prompt is read for the answer. This shows whether the runtime
restores what was saved, and whether that is faster. If not, the model's prompts are not saved. The
embedded runtime has restored the beginning then and need not read it; there, the time is compared
with the one that earlier prompts took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.plan import CLEAR, Plan
from rkllm_twisted.chat.prompt_index import PromptIndex
from rkllm_twisted.chat.saved_prompts import SavedPrompt
from rkllm_twisted.chat.trail import CacheKey
from rkllm_twisted.errors import InvalidParams, NotAllowed, RPCError, RuntimeRefused
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.prompt_files import PromptFiles
from rkllm_twisted.inference.prompt_run import PromptRun
from rkllm_twisted.inference.prompt_store import PromptStore
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import FINISH_REASON, SAVED, OnResult, Result, RunState

#: The last result of an answer that was aborted where the runtime gave none.
_CANCELLED: Result = {"_callback_state": RunState.FINISH, FINISH_REASON: "cancelled"}


@attrs.frozen
class PromptCache:
    """Makes the runs that may save or restore their prompt.

    :param clock: the time in seconds.
    """

    _store: PromptStore
    _watch: CacheWatch
    _clock: Callable[[], float] = time.monotonic

    def serves(self, made: Plan) -> bool:
        """True if a plan reads a whole prompt of tokens, and there is a directory."""
        is_whole = made.tier is Tier.TOKENS and made.trail is not None and not made.continued
        return is_whole and self._store.open()

    def run(
        self, turn: ITurn, made: Plan, infer: Mapping[str, Any], on_result: OnResult
    ) -> tuple[int | None, Result]:
        """Make the run of a plan that :meth:`serves`.

        :param infer: its RKLLMInferParam.
        :returns: how many tokens of the prompt were restored, None if that was not tried; and the
            last result.
        :raises RPCError: as :meth:`ITurn.perform`.
        """
        assert made.trail is not None
        owner, tokens = self._owner(made.trail.key), made.trail.tokens
        run = PromptRun(
            turn, made.run_input, infer, on_result, owner, tokens, self._clock, made.shared
        )
        run.start_clock()
        saved = None if self._watch.has_clients_prompt else self._store.match(owner, tokens)
        is_better = saved is not None and len(saved.tokens) > made.shared
        if saved is None or not is_better or not self._load(run, saved):
            return None, self._read(run)
        if self._store.index.benefit(owner).is_faster:
            return self._restore(run, saved)
        return None, self._try(run, saved)

    def was_wrong(self, key: CacheKey) -> None:
        """Stop: after a restored prompt, the cache had not the size that it should have."""
        self._store.give_up(key, "the runtime does not restore what it has saved")

    def _owner(self, key: CacheKey) -> CacheKey:
        if key.adapter is None:
            return key
        return attrs.evolve(key, template=(f"{self._watch.adapters}",))

    # ---- Reading and saving

    def _read(self, run: PromptRun, *, may_save: bool = True) -> Result:
        """Read the whole prompt, and save it if it has come back."""
        index = self._store.index
        run.start_clock()
        path = self._store.path_for(run.owner, run.tokens, run.shared) if may_save else None
        final = run.perform() if path is None else self._save(run, path)
        read = _read_tokens(run, final)
        if path is None and run.results and 2 * read >= len(run.tokens):
            index.benefit(run.owner).has_read(read, run.first_ms)
        index.has_read(run.owner, run.tokens)
        return final

    def _save(self, run: PromptRun, path: str) -> Result:
        """Make the run, and save its prompt. If that fails, there is an answer nevertheless."""
        saving = {"save_prompt_cache": 1, "prompt_cache_path": path}
        try:
            final = run.perform(prompt_cache_params=saving)
        except (InvalidParams, NotAllowed) as error:
            if "prompt_cache_path" not in str((error.data or {}).get("parameter")):
                raise
            self._store.stop_saving(error.message)
            if run.results:  # all have come, and then the file could not be moved
                return _CANCELLED if run.turn.aborted else {"_callback_state": RunState.FINISH}
            run.call(CLEAR.function, *CLEAR.params)
            return run.perform()
        except BaseException:
            self._store.remove(path)
            raise
        is_whole = final["_callback_state"] == RunState.FINISH
        if not is_whole or final.get(FINISH_REASON) == "cancelled":
            self._store.remove(path)
        else:
            if not final.get(SAVED, True):
                self._store.remove(path)
            # What comes after the last token is the time for moving the file.
            saving_ms = run.first_ms + run.elapsed_ms() - run.last_ms
            self._store.add(path, run.owner, run.tokens, saving_ms)
        return final

    # ---- Restoring

    def _load(self, run: PromptRun, saved: SavedPrompt) -> bool:
        """Load a saved prompt.

        :returns: False if that is not possible; then the cache is clear, as before.
        """
        try:
            self._watch.load_prompt(run.turn, saved.path)
        except RPCError as error:
            self._store.drop(saved, error.message)
            if not isinstance(error, (RuntimeRefused, InvalidParams, NotAllowed)):
                raise
            run.call(CLEAR.function, *CLEAR.params)
            return False
        return True

    def _restore(self, run: PromptRun, saved: SavedPrompt) -> tuple[int, Result]:
        """Make the run with a saved prompt, which is loaded."""
        index, held = self._store.index, len(saved.tokens)
        path = self._store.path_for(run.owner, run.tokens, held)
        try:
            final = run.perform() if path is None else self._save(run, path)
        finally:
            self._watch.release_prompt(run.turn)
        index.use(saved)
        index.has_read(run.owner, run.tokens)
        benefit = index.benefit(run.owner)
        if run.results:
            benefit.has_restored(len(run.tokens), run.first_ms)
        if not benefit.is_faster:
            self._store.give_up(run.owner, "restoring is no faster than reading")
        perf = final.get("perf") or {"prefill_tokens": len(run.tokens) - held}
        return min(held, max(0, len(run.tokens) - perf["prefill_tokens"])), final

    def _try(self, run: PromptRun, saved: SavedPrompt) -> Result:
        """Make the run up to its first token with a saved prompt, which is loaded, then without."""
        is_aborted, is_right = self._peek(run)
        restoring_ms = run.first_ms
        run.call(CLEAR.function, *CLEAR.params)
        if is_aborted:
            return _CANCELLED
        final = self._read(run, may_save=False)
        if not is_right:
            self.was_wrong(run.owner)
        elif run.results:
            benefit, whole = self._store.index.benefit(run.owner), len(run.tokens)
            is_whole = _read_tokens(run, final) == whole  # else what was restored was at hand
            reading_ms = run.first_ms if is_whole else benefit.expected_ms(whole)
            benefit.has_tried(saved, restoring_ms, whole, reading_ms)
            if not benefit.is_faster:
                why = "saving and restoring is no faster than reading"
                self._store.give_up(run.owner, why)
        return final

    def _peek(self, run: PromptRun) -> tuple[bool, bool]:
        """Make a run with the loaded prompt.

        :returns: whether it was aborted, and whether it has filled the cache as it should.
        """
        try:
            is_aborted = run.peek()
        except RuntimeRefused:
            return False, False
        except RPCError as error:
            self._store.give_up(run.owner, error.message)
            raise
        finally:
            self._watch.release_prompt(run.turn)
        return is_aborted, not is_aborted and run.has_right_size()


def _read_tokens(run: PromptRun, final: Result) -> int:
    """Return how many tokens of its prompt a run has read; all, if the runtime does not say it."""
    return (final.get("perf") or {}).get("prefill_tokens") or len(run.tokens)


def open_prompts(
    directory: str,
    limit: int,
    warn: Callable[[str], object],
    traits: RuntimeTraits,
    watch: CacheWatch,
) -> PromptCache | None:
    """Return what saves prompts and restores them.

    :param directory: --cache-dir.
    :param limit: --cache-bytes.
    :param warn: called with a sentence for the log.
    :returns: None if the runtime cannot be used so, after a warning.
    """
    if not (traits.sizes and traits.plan.history):
        warn("--cache-dir is not used: releases before 1.2.1 do not say how full the cache is.")
        return None
    return PromptCache(PromptStore(PromptFiles(directory), PromptIndex(limit), warn), watch)
