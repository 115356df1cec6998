"""Long prompts that come back are saved and restored, if that is faster."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs
import pytest
from echo_runtime import secrets_in
from inference_rig import Asked, Rig, furnish, user
from twisted.internet.defer import CancelledError

from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.inference.prompt_files import SUBDIRECTORY
from rkllm_twisted.testing import Crash


@attrs.define
class Talk:
    """A conversation that goes on after another one has had the cache."""

    rig: Rig
    messages: list[Any] = attrs.field(factory=list)
    more: dict[str, Any] = attrs.field(factory=dict)

    def start(self) -> Asked:
        self.rig.ask([user(f"zq100{len(self.messages)}q")])
        self.messages.append(user(f"zq{len(self.messages) + 1}q in a text of several words"))
        return self.rig.start(self.messages, **self.more)

    def say(self) -> Asked:
        asked = self.start()
        self.rig.settle()
        assert secrets_in(asked.text) == secrets_in(str(self.messages)), "read what it should"
        self.messages.append(asked.result["message"])
        return asked

    def cached(self) -> int:
        """Go on; return how many tokens were not read again."""
        return int(self.say().result["usage"]["cached_tokens"])


def loads(rig: Rig) -> int:
    return rig.runtime.performed.count("rkllm_load_prompt_cache")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Talk]:
    (tmp_path / "cache").mkdir()

    def make(**how: Any) -> Talk:
        return Talk(Rig(furnish(tmp_path, "tokens"), "tokens", cache_dir=tmp_path / "cache", **how))

    return make


@pytest.fixture
def talk(make: Callable[..., Talk]) -> Talk:
    return make()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / SUBDIRECTORY


def saved_in(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.exists() else []


def test_a_prompt_that_comes_back_is_saved_then_tried_then_restored(
    talk: Talk, directory: Path
) -> None:
    assert talk.cached() == 0
    assert saved_in(directory) == []
    assert talk.cached() == 0, "it came back, and is saved"
    assert len(saved_in(directory)) == 1
    assert talk.cached() == 0, "the file is tried beside reading"
    read = talk.rig.runtime.read
    assert loads(talk.rig) == 1
    assert talk.cached() > 0
    assert talk.rig.runtime.read < read
    assert talk.rig.runtime.loaded_prompt is None, "it is released"
    assert talk.rig.warnings == []


def test_the_usage_counts_each_token_once(talk: Talk) -> None:
    for _ in range(4):
        usage = talk.say().result["usage"]
    assert usage["prompt_tokens"] == usage["cached_tokens"] + talk.rig.runtime.read


def test_a_conversation_that_grows_is_saved_again(talk: Talk, directory: Path) -> None:
    cached = [talk.cached() for _ in range(6)]
    assert cached[-1] > cached[3] > 0
    assert len(saved_in(directory)) > 1


def test_a_title_of_the_chat_after_each_answer_costs_no_reading_of_all(make: Any) -> None:
    """Open WebUI asks so: the history as a text of one message, which takes the cache."""
    talk = make()
    read: list[tuple[int, int]] = []
    for number in range(8):
        asked = talk.rig.ask([*talk.messages, user(f"zq{number}q in a text of several words")])
        talk.messages = [*talk.messages, user(f"zq{number}q in a text of several words")]
        talk.messages.append(asked.result["message"])
        usage = asked.result["usage"]
        read.append((usage["cached_tokens"], usage["prompt_tokens"]))
        history = " ".join(str(message["content"]) for message in talk.messages)
        title = f"### Task:\nGenerate a title.\n<chat_history>\n{history}\n</chat_history>"
        talk.rig.ask([user(title)])
    assert [cached for cached, _ in read[:3]] == [0, 0, 0]
    assert all(cached > 0 for cached, _ in read[5:]), read


def test_a_conversation_goes_on_in_the_cache_after_it_was_restored(talk: Talk) -> None:
    for _ in range(4):
        talk.say()
    more = talk.rig.ask([*talk.messages, user("zq99q")])
    assert more.result["usage"]["cached_tokens"] > talk.rig.runtime.read
    assert secrets_in(more.text) == {*secrets_in(str(talk.messages)), "zq99q"}


def test_files_are_private(talk: Talk, directory: Path) -> None:
    talk.say(), talk.say()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in saved_in(directory)] == [0o600]


def test_a_short_prompt_is_not_saved(talk: Talk, directory: Path) -> None:
    talk.rig.runtime.costs["read"] = 0.001
    for _ in range(4):
        talk.say()
    assert saved_in(directory) == []


def test_no_more_is_saved_if_restoring_is_slower(talk: Talk, directory: Path) -> None:
    talk.rig.runtime.costs["load"] = 100.0
    assert [talk.cached() for _ in range(6)] == [0] * 6
    assert (loads(talk.rig), saved_in(directory)) == (1, [])
    assert talk.rig.warnings == [
        "No more prompts of this model are saved: saving and restoring is no faster than reading."
    ]


def test_no_more_is_saved_if_saving_is_slow(talk: Talk, directory: Path) -> None:
    talk.rig.runtime.costs["save"] = 100.0
    assert [talk.cached() for _ in range(6)] == [0] * 6
    assert saved_in(directory) == []


def test_no_more_is_saved_once_restoring_has_become_slower(talk: Talk, directory: Path) -> None:
    for _ in range(4):
        talk.say()
    talk.rig.runtime.costs |= {"load": 100.0, "read": 0.05}
    for _ in range(3):
        talk.say()
    assert saved_in(directory) == []
    assert len(talk.rig.warnings) == 1


@pytest.mark.parametrize("restoring", ["not", "before the whole prompt", "twice"])
def test_a_runtime_that_restores_wrongly_is_found_out(
    talk: Talk, directory: Path, restoring: str
) -> None:
    talk.rig.runtime.restoring = restoring
    assert [talk.cached() for _ in range(6)] == [0] * 6
    assert loads(talk.rig) == 1
    assert saved_in(directory) == []
    assert len(talk.rig.warnings) == 1


@pytest.mark.parametrize("restoring", ["before the whole prompt", "twice"])
def test_a_runtime_that_begins_to_restore_wrongly_is_found_out(
    talk: Talk, directory: Path, restoring: str
) -> None:
    for _ in range(4):
        talk.say()
    talk.rig.runtime.restoring = restoring
    talk.say()
    assert saved_in(directory) == []
    (warning,) = talk.rig.warnings
    assert "does not restore what it has saved" in warning


def test_a_prompt_of_an_adapter_is_not_restored_for_another_of_its_name(
    talk: Talk, tmp_path: Path
) -> None:
    def load() -> None:
        adapter = {"lora_adapter_path": "/l", "lora_adapter_name": "l", "scale": 1.0}
        talk.rig.npu.call("rkllm_load_lora", [adapter])
        talk.rig.settle()

    load()
    talk.more = {"lora": "l"}
    for _ in range(3):
        talk.say()
    assert talk.cached() > 0
    load()
    assert talk.cached() == 0


@pytest.mark.parametrize("damage", ["truncated", "replaced", "removed", "a link"])
def test_a_file_that_another_program_has_changed_is_not_used(
    talk: Talk, directory: Path, damage: str, tmp_path: Path
) -> None:
    talk.say(), talk.say()
    (file,) = saved_in(directory)
    text = file.read_text()
    file.unlink()
    if damage == "a link":
        (tmp_path / "other").write_text(text)
        file.symlink_to(tmp_path / "other")
    elif damage != "removed":
        file.write_text(text[:10] if damage == "truncated" else text)
    talk.say()
    assert loads(talk.rig) == 0
    (warning,) = talk.rig.warnings
    assert "another program has changed or removed it" in warning


def test_a_file_that_the_runtime_refuses_is_not_used_again(talk: Talk, directory: Path) -> None:
    talk.say(), talk.say(), talk.say()
    (file,) = saved_in(directory)
    before = file.stat()
    file.write_text("x" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    talk.say()
    assert "rkllm_load_prompt_cache returned -1" in talk.rig.warnings[0]
    assert file not in saved_in(directory)


def test_foreign_files_are_neither_taken_nor_removed(talk: Talk, directory: Path) -> None:
    directory.mkdir(mode=0o700)
    foreign, left = directory / "notes.txt", directory / ("0" * 32)
    foreign.write_text("mine")
    left.write_text("[1]")
    talk.say(), talk.say()
    assert foreign.read_text() == "mine"
    assert not left.exists(), "of a daemon that has ended"
    assert loads(talk.rig) == 0


@pytest.mark.parametrize("saving", ["not", "error before", "error after"])
def test_a_prompt_that_cannot_be_saved_costs_no_answer(
    talk: Talk, directory: Path, saving: str
) -> None:
    talk.say()
    talk.rig.runtime.saving = saving
    talk.say()
    talk.rig.runtime.saving = "well"
    assert [talk.cached() for _ in range(3)] == [0] * 3
    assert saved_in(directory) == []
    (warning,) = talk.rig.warnings
    assert "until the daemon starts again" in warning


def test_an_aborted_answer_whose_prompt_cannot_be_saved_is_cancelled(make: Any) -> None:
    talk = make(paced=True)
    talk.say()
    talk.more, talk.rig.runtime.saving = {"stream": True}, "error after"
    asked = talk.start()
    while not asked.pieces:
        talk.rig.thread.go()
        while talk.rig.thread.calls:
            talk.rig.thread.deliver()
    talk.rig.npu.abort()
    talk.rig.settle()
    assert asked.result["finish_reason"] == "cancelled"


@pytest.mark.parametrize("function", ["rkllm_load_prompt_cache", "rkllm_run"])
def test_an_abort_while_a_saved_prompt_is_tried_is_the_answers(
    talk: Talk, directory: Path, function: str
) -> None:
    """The trial proves nothing then, so that the prompt stays, and is tried the next time."""
    talk.say()
    talk.say()
    saved, runtime = saved_in(directory), talk.rig.runtime
    perform, said = runtime.perform, list[Any]()

    def aborted(prepared: Any, *args: Any) -> Any:
        has_loaded = loads(talk.rig) > 0
        if prepared.name == function == "rkllm_run" and has_loaded and not said:
            talk.rig.npu.abort().addBoth(said.append)
        outputs = perform(prepared, *args)
        if prepared.name == function != "rkllm_run" and not said:
            talk.rig.npu.abort().addBoth(said.append)
        return outputs

    with patch.object(runtime, "perform", aborted):
        asked = talk.start()
        talk.rig.settle()
    assert (said[0]["success"], asked.result["finish_reason"]) == (True, "cancelled")
    assert saved_in(directory) == saved
    talk.messages.append(asked.result["message"])
    assert (talk.cached(), loads(talk.rig)) == (0, 2)


@pytest.mark.parametrize("fault", ["a file", "others may read it", "it is in use"])
def test_a_directory_that_cannot_be_used_costs_one_warning(
    make: Callable[..., Talk], directory: Path, fault: str
) -> None:
    if fault == "a file":
        directory.touch()
    elif fault == "others may read it":
        directory.mkdir(mode=0o755)
    else:
        first = make()
        first.say()
    talk = make()
    assert [talk.cached() for _ in range(4)] == [0] * 4
    (warning,) = talk.rig.warnings
    assert warning.startswith(f"--cache-dir is not used: {directory}: ")


def test_the_files_have_no_more_bytes_than_the_limit(
    make: Callable[..., Talk], directory: Path
) -> None:
    limit = 600
    talk = make(cache_bytes=limit)
    for _ in range(8):
        talk.say()
        assert sum(file.stat().st_size for file in saved_in(directory)) <= limit
    assert saved_in(directory)


def test_a_crash_while_a_prompt_is_saved_leaves_nothing(talk: Talk, directory: Path) -> None:
    talk.say()
    asked = talk.start()
    talk.rig.runtime.then = Crash()
    talk.rig.settle()
    assert isinstance(asked.error, RuntimeCrashed)
    assert saved_in(directory) == []


def test_what_a_cancelled_request_has_loaded_is_released_before_the_next_call(
    make: Callable[..., Talk],
) -> None:
    talk = make(paced=True)
    for _ in range(3):
        talk.say()
    asked = talk.start()
    while not talk.rig.runtime.loaded_prompt:
        talk.rig.thread.go()
        while talk.rig.thread.calls:
            talk.rig.thread.deliver()
    asked.done.cancel()
    own = talk.rig.run("zq7q")
    talk.rig.settle()
    assert isinstance(asked.error, CancelledError)
    assert talk.rig.runtime.loaded_prompt is None
    assert secrets_in(own.text) == {"zq7q"}


def test_a_prompt_that_a_client_has_loaded_stays_loaded(talk: Talk, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("[1, 2]")
    for _ in range(4):
        talk.say()
    before = loads(talk.rig)
    talk.rig.npu.call("rkllm_load_prompt_cache", [str(own)])
    assert talk.cached() == 0
    assert talk.rig.runtime.loaded_prompt == [1, 2]
    assert loads(talk.rig) == before + 1
    talk.rig.npu.call("rkllm_release_prompt_cache", None)
    assert talk.cached() > 0
