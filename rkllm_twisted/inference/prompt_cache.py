"""Saves the prompts that come back to files, and restores them. In the NPU thread.

The first saved prompt of a model is tried before it is used: it is restored, the run is ended at
its first token, and then the whole prompt is read for the answer. This shows whether the runtime
restores what was saved, and whether that is faster. If not, the model's prompts are not saved.
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
from rkllm_twisted.errors import (
    Cancelled,
    InvalidParams,
    NotAllowed,
    RPCError,
    RuntimeRefused,
    StartupError,
)
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.prompt_files import PromptFiles
from rkllm_twisted.inference.prompt_run import PromptRun
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import FINISH_REASON, SAVED, OnResult, Result, RunState

#: The errors of a call that leaves the runtime as it was.
_REFUSED = (RuntimeRefused, InvalidParams, NotAllowed)


class PromptCache:
    """The saved prompts of all models.

    :param files: where they are.
    :param index: which there are.
    :param warn: called with a sentence for the log.
    :param clock: the time in seconds.
    """

    def __init__(
        self,
        files: PromptFiles,
        index: PromptIndex,
        watch: CacheWatch,
        warn: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._index = index
        self._watch = watch
        self._warn = warn
        self._clock = clock
        self._saves = True
        self._is_open: bool | None = None

    def serves(self, made: Plan) -> bool:
        """True if a plan reads a whole prompt of tokens, and the directory can be used."""
        is_whole = made.tier is Tier.TOKENS and made.trail is not None and not made.continued
        if is_whole and self._is_open is None:
            self._open()
        return is_whole and bool(self._is_open)

    def run(
        self, turn: ITurn, made: Plan, infer: Mapping[str, Any], on_result: OnResult
    ) -> tuple[int, Result]:
        """Make the run of a plan that :meth:`serves`.

        :param infer: its RKLLMInferParam.
        :returns: how many tokens of the prompt were restored, and the last result.
        :raises RPCError: as :meth:`ITurn.perform`.
        """
        assert made.trail is not None
        owner, tokens = self._owner(made.trail.key), made.trail.tokens
        run = PromptRun(turn, made.run_input, infer, on_result, owner, tokens, self._clock)
        run.start_clock()
        saved = None if self._watch.has_clients_prompt else self._match(run)
        if saved is None or not self._load(run, saved):
            return 0, self._read(run)
        if self._index.benefit(run.owner).is_faster:
            return self._restore(run, saved)
        return 0, self._try(run, saved)

    def was_wrong(self, owner: CacheKey) -> None:
        """Stop: after a restored prompt, the cache had not the size that it should have."""
        self._give_up(owner, "the runtime does not restore what it has saved")

    def _owner(self, key: CacheKey) -> CacheKey:
        return (
            key if key.adapter is None else attrs.evolve(key, template=(f"{self._watch.adapters}",))
        )

    # ---- Reading and saving

    def _read(self, run: PromptRun, *, may_save: bool = True) -> Result:
        """Read the whole prompt, and save it if it has come back."""
        run.start_clock()
        if may_save and self._is_worth_saving(run):
            final = self._save(run)
        else:
            final = run.perform()
            if run.results:
                self._index.benefit(run.owner).has_read(len(run.tokens), run.first_ms)
        self._index.has_read(run.owner, run.tokens)
        return final

    def _is_worth_saving(self, run: PromptRun, held: int = 0) -> bool:
        return self._saves and self._index.is_worth_saving(run.owner, run.tokens, held)

    def _save(self, run: PromptRun) -> Result:
        """Make the run, and save its prompt. If that fails, there is an answer nevertheless."""
        path = self._files.new_path()
        saving = {"save_prompt_cache": 1, "prompt_cache_path": path}
        try:
            final = run.perform(prompt_cache_params=saving)
        except (InvalidParams, NotAllowed) as error:
            if "prompt_cache_path" not in str((error.data or {}).get("parameter")):
                raise
            self._stop_saving(error.message)
            if run.results:  # all have come, and then the file could not be moved
                return {"_callback_state": RunState.FINISH}
            run.call(CLEAR.function, *CLEAR.params)
            return run.perform()
        except BaseException:
            self._files.remove(path)
            raise
        self._keep(run, path, final)
        return final

    def _keep(self, run: PromptRun, path: str, final: Result) -> None:
        is_whole = final["_callback_state"] == RunState.FINISH
        if not is_whole or final.get(FINISH_REASON) == "cancelled":
            self._files.remove(path)
            return
        stamp = self._files.take(path) if final.get(SAVED, True) else None
        if stamp is None:
            self._stop_saving("the runtime wrote nothing; the disk may be full")
            return
        # What comes after the last token is the time for moving the file.
        saving_ms = run.first_ms + run.elapsed_ms() - run.last_ms
        saved = SavedPrompt(path, run.owner, run.tokens, stamp.size, 0, saving_ms, stamp)
        self._remove(*self._index.add(saved))

    # ---- Restoring

    def _match(self, run: PromptRun) -> SavedPrompt | None:
        while saved := self._index.match(run.owner, run.tokens):
            if self._files.stamp(saved.path) == saved.stamp:
                return saved
            self._drop(saved, "another program has changed or removed it")
        return None

    def _load(self, run: PromptRun, saved: SavedPrompt) -> bool:
        """Load a saved prompt.

        :returns: False if that is not possible; then the cache is clear, as before.
        """
        try:
            self._watch.load_prompt(run.turn, saved.path)
        except Cancelled:
            raise
        except RPCError as error:
            self._drop(saved, error.message)
            if not isinstance(error, _REFUSED):
                raise
            self._watch.release_prompt(run.turn)
            run.call(CLEAR.function, *CLEAR.params)
            return False
        return True

    def _restore(self, run: PromptRun, saved: SavedPrompt) -> tuple[int, Result]:
        """Make the run with a saved prompt, which is loaded."""
        benefit, held = self._index.benefit(run.owner), len(saved.tokens)
        try:
            final = self._save(run) if self._is_worth_saving(run, held) else run.perform()
        finally:
            self._watch.release_prompt(run.turn)
        benefit.has_restored(len(run.tokens), run.first_ms)
        self._index.use(saved)
        self._index.has_read(run.owner, run.tokens)
        if not benefit.is_faster:
            self._give_up(run.owner, "restoring is no faster than reading")
        perf = final.get("perf") or {"prefill_tokens": len(run.tokens) - held}
        return min(held, max(0, len(run.tokens) - perf["prefill_tokens"])), final

    def _try(self, run: PromptRun, saved: SavedPrompt) -> Result:
        """Make the run up to its first token with a saved prompt, which is loaded, then without."""
        is_right = self._peek(run)
        restoring_ms = run.first_ms
        run.call(CLEAR.function, *CLEAR.params)
        final = self._read(run, may_save=False)
        benefit = self._index.benefit(run.owner)
        if not is_right:
            self.was_wrong(run.owner)
        elif run.results:
            benefit.has_tried(saved, restoring_ms, len(run.tokens), run.first_ms)
            if not benefit.is_faster:
                self._give_up(run.owner, "saving and restoring is no faster than reading")
        return final

    def _peek(self, run: PromptRun) -> bool:
        """True if a run with the loaded prompt fills the cache as it should."""
        try:
            run.peek()
        except Cancelled:
            raise
        except RPCError as error:
            if not isinstance(error, RuntimeRefused):
                self._give_up(run.owner, error.message)
                raise
            return False
        finally:
            self._watch.release_prompt(run.turn)
        return run.has_right_size()

    # ---- What goes wrong

    def _open(self) -> None:
        # Not before the first prompt: the daemon may change its user when it starts.
        try:
            self._files.open()
        except StartupError as error:
            self._warn(f"--cache-dir is not used: {error}")
        self._is_open = self._files.is_open

    def _drop(self, saved: SavedPrompt, why: str) -> None:
        self._warn(f"The saved prompt {saved.path} is not used: {why}.")
        self._remove(self._index.forget(saved))

    def _stop_saving(self, why: str) -> None:
        self._saves = False
        self._warn(f"No more prompts are saved until the daemon starts again: {why}.")

    def _give_up(self, owner: CacheKey, why: str) -> None:
        self._remove(*self._index.give_up(owner))
        self._warn(f"No more prompts of this model are saved: {why}.")

    def _remove(self, *paths: str) -> None:
        for path in paths:
            self._files.remove(path)


def open_prompts(
    directory: str,
    limit: int,
    warn: Callable[[str], object],
    traits: RuntimeTraits,
    watch: CacheWatch,
) -> PromptCache | None:
    """Return the saved prompts; none yet.

    :param directory: --cache-dir.
    :param limit: --cache-bytes.
    :param warn: called with a sentence for the log.
    :returns: None if they cannot be used, after a warning.
    """
    if not (traits.sizes and traits.plan.history):
        warn("--cache-dir is not used: releases before 1.2.1 do not say how full the cache is.")
        return None
    return PromptCache(PromptFiles(directory), PromptIndex(limit), watch, warn)
