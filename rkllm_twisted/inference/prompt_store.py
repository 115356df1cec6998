"""The prompts that are saved to files: which there are, and when no more are saved."""

from __future__ import annotations

from collections.abc import Callable

from rkllm_twisted.chat.prompt_index import PromptIndex
from rkllm_twisted.chat.saved_prompts import SavedPrompt
from rkllm_twisted.chat.trail import CacheKey
from rkllm_twisted.errors import StartupError
from rkllm_twisted.inference.prompt_files import PromptFiles


class PromptStore:
    """The files and what is known of them. In the NPU thread.

    :param warn: called with a sentence for the log.
    """

    def __init__(
        self, files: PromptFiles, index: PromptIndex, warn: Callable[[str], object]
    ) -> None:
        self.index = index
        self._files = files
        self._warn = warn
        self._saves = True
        self._is_open: bool | None = None

    def open(self) -> bool:
        """Open the directory when the first prompt comes.

        Not before: the daemon may change its user when it starts.

        :returns: True if it can be used.
        """
        if self._is_open is None:
            try:
                self._files.open()
                self._is_open = True
            except StartupError as error:
                self._is_open = False
                self._warn(f"--cache-dir is not used: {error}")
        return self._is_open

    def match(self, owner: CacheKey, tokens: tuple[int, ...]) -> SavedPrompt | None:
        """Return the saved prompt to restore for another, with a file that is as it was."""
        while saved := self.index.match(owner, tokens):
            if self._files.stamp(saved.path) == saved.stamp:
                return saved
            self.drop(saved, "another program has changed or removed it")
        return None

    def path_for(self, owner: CacheKey, tokens: tuple[int, ...], held: int = 0) -> str | None:
        """Return the path to save a prompt to; None if it is not worth that.

        :param held: how many of its tokens are restored and need not be read.
        """
        if self._saves and self.index.is_worth_saving(owner, tokens, held):
            return self._files.new_path()
        return None

    def add(self, path: str, owner: CacheKey, tokens: tuple[int, ...], saving_ms: float) -> None:
        """Add a file that was just written.

        :param saving_ms: see :class:`SavedPrompt`.
        """
        stamp = self._files.take(path)
        if stamp is None:
            self.stop_saving("the runtime wrote nothing; the disk may be full")
            return
        saved = SavedPrompt(path, owner, tokens, stamp.size, 0, saving_ms, stamp)
        self.remove(*self.index.add(saved))

    def drop(self, saved: SavedPrompt, why: str) -> None:
        """Remove a saved prompt that cannot be used."""
        self._warn(f"The saved prompt {saved.path} is not used: {why}.")
        self.remove(self.index.forget(saved))

    def stop_saving(self, why: str) -> None:
        """Save no more prompts."""
        self._saves = False
        self._warn(f"No more prompts are saved until the daemon starts again: {why}.")

    def give_up(self, owner: CacheKey, why: str) -> None:
        """Save and restore no more prompts of a model."""
        self.remove(*self.index.give_up(owner))
        self._warn(f"No more prompts of this model are saved: {why}.")

    def remove(self, *paths: str) -> None:
        """Remove files."""
        for path in paths:
            self._files.remove(path)
