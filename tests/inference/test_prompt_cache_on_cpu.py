"""The embedded runtime saves and restores prompts as the daemon asks it to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rkllm_twisted.chat.model import ChatModel
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.plan import CLEAR, plan
from rkllm_twisted.chat.prompt_index import PromptIndex
from rkllm_twisted.chat.prompts import Prompt, TokenContent
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.prompt_cache import PromptCache
from rkllm_twisted.inference.prompt_files import SUBDIRECTORY, PromptFiles
from rkllm_twisted.inference.prompt_store import PromptStore
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.testing.threads import StepThread

WORDS = tuple(range(40, 100))


class Board:
    """The embedded runtime, with the demonstration model and saved prompts."""

    def __init__(self, cache_dir: Path) -> None:
        # Only prompt caches may be in that directory.
        files = Files([str(demo_model().parent)], cache_dir=str(cache_dir))
        self.runtime = open_runtime("cpu", "1.3.0", {}, files=files)
        self._thread = StepThread()
        self._npu = ThreadNPU(self.runtime, self._thread.in_thread, self._thread.from_thread)
        watch = CacheWatch()
        self._npu.observe(watch)
        self.warnings: list[str] = []
        self.index = PromptIndex(10**8, 0.0)
        self._watch = watch
        ticks = count()  # all runs take equally long, whatever the processor does
        store = PromptStore(PromptFiles(str(cache_dir)), self.index, self.warnings.append)
        self._prompts = PromptCache(store, watch, lambda: next(ticks))
        self._model = ChatModel("tiny", 512)
        param = {"model_path": str(demo_model()), "top_k": 1, "max_context_len": 512}
        self._done(self._npu.call("rkllm_init", [param]))

    def _done(self, deferred: Any) -> Any:
        came: list[Any] = []
        deferred.addBoth(came.append)
        self._thread.run()
        return came[0]

    def ask(self, *tokens: int) -> tuple[list[int], int, int]:
        """Read a prompt, with an empty cache.

        :returns: the tokens of the answer, how many of the prompt were restored, and were read.
        """
        prompt = Prompt(TokenContent(tuple(f"{one} " for one in tokens), tokens), Reading())
        made = plan(self._model, prompt, None)
        answer: list[int] = []

        def procedure(turn: Any) -> tuple[int, Any]:
            with self._watch.planned():
                turn.perform(turn.prepare(CLEAR.function, list(CLEAR.params)))
                assert self._prompts.serves(made)
                infer = {"keep_history": 1, "max_new_tokens": 6}
                return self._prompts.run(
                    turn, made, infer, lambda one: answer.append(one["token_id"])
                )

        held, final = self._done(self._npu.perform(procedure))
        return answer, held or 0, final["perf"]["prefill_tokens"]

    def faster(self, is_faster: bool | None) -> None:
        """Say what was measured."""
        made = plan(self._model, Prompt(TokenContent(("1",), (1,)), Reading()), None)
        assert made.trail is not None
        self.index.benefit(made.trail.key).is_faster = is_faster


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path)
    yield board
    board.runtime.close()


def test_a_restored_prompt_has_the_same_answer(board: Board, tmp_path: Path) -> None:
    longer = (*WORDS, *WORDS[:20])
    alone = board.ask(*longer)
    assert alone[1:] == (0, 80)
    board.faster(True)
    board.ask(*WORDS)
    board.ask(*WORDS)  # comes back
    (file,) = (tmp_path / SUBDIRECTORY).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert board.ask(*longer) == (alone[0], 60, 20)
    assert board.warnings == []


def test_the_trial_says_that_the_runtime_restores_what_it_should(board: Board) -> None:
    """Here, both ways took the same time."""
    board.ask(*WORDS), board.ask(*WORDS)
    assert board.ask(*WORDS, 100)[1] == 0
    assert board.warnings == [
        "No more prompts of this model are saved: saving and restoring is no faster than reading."
    ]


def test_a_damaged_file_is_refused_and_the_prompt_is_read(board: Board, tmp_path: Path) -> None:
    alone = board.ask(*WORDS, 100)
    board.faster(True)
    board.ask(*WORDS), board.ask(*WORDS)
    (file,) = (tmp_path / SUBDIRECTORY).iterdir()
    stamp = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert board.ask(*WORDS, 100)[:2] == alone[:2]
    assert str(file) in board.warnings[0]
