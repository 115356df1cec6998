"""Answers in a form after reasoning, over a runtime that writes what a test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chat_templates import DEEPSEEK, QWEN3
from inference_rig import Asked, Rig, furnish, user
from made_up_constraint import MadeUp
from writing_runtime import WritingRuntime

from rkllm_twisted.inference.token_engines import TokenEngines

CHOICES = ["you helpful", "you quick"]
FORM = {"type": "choices", "choices": CHOICES}
THOUGHT = "<think>\nWell, you.\n</think>"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return a_rig(tmp_path, QWEN3)


def a_rig(directory: Path, template: str) -> Rig:
    model = furnish(directory, "tokens", template=template)
    rig = Rig(model, "tokens", runtime=WritingRuntime())
    rig.turns.engines = TokenEngines(lambda _: MadeUp())
    return rig


def begin(rig: Rig, written: str, **params: Any) -> Asked:
    """Ask. The first run of all compares the tokenizer, and writes nothing."""
    if rig.turns.watch.checked_load is None:
        rig.ask([user("Who?")], response_format=FORM)
    rig.runtime.answers = [written]
    return rig.ask([user("Who?")], **{"response_format": FORM, "enable_thinking": True, **params})


def ask(rig: Rig, written: str, **params: Any) -> Any:
    asked = begin(rig, written, **params)
    if asked.error is not None:
        raise asked.error
    return asked.result


@pytest.mark.parametrize("behind", ["\n\nNobody.", "", "\n", "No", "<|im_end|>"])
def test_the_model_reasons_freely_and_answers_in_the_form(rig: Rig, behind: str) -> None:
    """Whatever comes after the abort, and whether the last token before was read."""
    for lag, lacks_last in ((0, False), (0, True), (1, True), (4, False)):
        rig.runtime.lag, rig.runtime.lacks_last = lag, lacks_last
        done = ask(rig, THOUGHT + behind)
        assert done["message"]["reasoning_content"] == "Well, you."
        assert done["message"]["content"] in CHOICES
        assert done["structured"]["guaranteed"] is True
        assert done["usage"]["reasoning_tokens"] > 0
        trail = rig.turns.watch.known.trail
        assert trail is not None
        assert len(trail.tokens) == len(rig.runtime.cache)


@pytest.mark.parametrize("written", ["<think>\nWell, you.", "<think>\nWell, you.<|im_end|>"])
def test_reasoning_that_the_model_does_not_end_is_ended(rig: Rig, written: str) -> None:
    done = ask(rig, written)
    assert done["message"]["reasoning_content"] == "Well, you."
    assert done["message"]["content"] in CHOICES


@pytest.mark.parametrize("written", ["Nobody.", "", "\n\nNobody.", "you h"])
def test_a_model_that_does_not_reason_answers_at_once(rig: Rig, written: str) -> None:
    done = ask(rig, written)
    assert "reasoning_content" not in done["message"]
    assert done["message"]["content"] in CHOICES


def test_both_are_streamed_and_nothing_else(rig: Rig) -> None:
    asked = begin(rig, THOUGHT + "\n\nNobody.", stream=True)
    done = asked.result["message"]
    for part in ("reasoning_content", "content"):
        assert "".join(piece.get(part, "") for piece in asked.pieces) == done[part]


def test_a_template_that_begins_the_reasoning_is_gone_on_with(tmp_path: Path) -> None:
    done = ask(a_rig(tmp_path, DEEPSEEK), "Well, you.\n</think>")
    assert done["message"]["reasoning_content"] == "Well, you."
    assert done["message"]["content"] in CHOICES


def test_the_limit_of_tokens_is_that_of_both(rig: Rig) -> None:
    for limit in (1, 2, 6, 8, 10, 11, 12, 30):
        done = ask(rig, THOUGHT, max_new_tokens=limit)
        assert done["usage"]["completion_tokens"] <= limit
        is_whole = done["message"]["content"] in CHOICES
        assert (done["finish_reason"] == "stop") is is_whole
    assert is_whole


@pytest.mark.parametrize("thinking", [None, False])
def test_without_asking_for_it_the_model_does_not_reason(rig: Rig, thinking: bool | None) -> None:
    done = ask(rig, THOUGHT, enable_thinking=thinking)
    assert "reasoning_content" not in done["message"]
    assert done["message"]["content"] in CHOICES
    assert rig.runtime.answers == [THOUGHT]


def test_where_tokens_cannot_be_chosen_what_follows_the_reasoning_is_checked(rig: Rig) -> None:
    rig.runtime.is_mute = True
    rig.runtime.answers = []
    rig.turns.watch.checked_load = 1
    rig.runtime.answers = [THOUGHT, THOUGHT + "\n\nyou quick"]
    asked = rig.ask([user("Who?")], response_format=FORM, enable_thinking=True, stream=True)
    assert asked.result["message"]["reasoning_content"] == "Well, you."
    assert asked.text == "you quick"
    # The second time it is known that tokens cannot be chosen, and nothing is streamed at first.
    rig.runtime.answers = [THOUGHT + "\n\nyou quick"]
    again = rig.ask([user("Who?")], response_format=FORM, enable_thinking=True, stream=True)
    assert again.pieces == [{"reasoning_content": "Well, you."}, {"content": "you quick"}]
    for one in (asked, again):
        thought = [piece.get("reasoning_content", "") for piece in one.pieces]
        assert "".join(thought) == "Well, you."
    assert asked.result["structured"]["guaranteed"] is False


def streamed(asked: Asked) -> str:
    return "".join(piece.get("reasoning_content", "") for piece in asked.pieces)


def test_reasoning_that_comes_in_the_checked_answer_only_is_streamed(rig: Rig) -> None:
    rig.runtime.is_mute = True
    rig.turns.watch.checked_load = 1
    rig.runtime.answers = ["Nobody.", THOUGHT + "\n\nyou quick"]
    asked = rig.ask([user("Who?")], response_format=FORM, enable_thinking=True, stream=True)
    assert asked.result["message"]["reasoning_content"] == streamed(asked) == "Well, you."


@pytest.mark.parametrize("is_mute", [False, True])
def test_reasoning_is_streamed_once_if_another_model_is_loaded_between_the_attempts(
    rig: Rig, tmp_path: Path, is_mute: bool
) -> None:
    """Whether the tokens of the other model can be chosen or not."""
    rig.runtime.is_mute = True
    rig.turns.watch.checked_load = 1
    rig.runtime.answers = [THOUGHT]
    asked = rig.start([user("Who?")], response_format=FORM, enable_thinking=True, stream=True)
    path = furnish(tmp_path, "tokens", "other", template=QWEN3)
    param = {"model_path": str(path), "max_context_len": rig.context}
    loaded = rig.npu.call("rkllm_init", [param])

    def begin_anew(_: object) -> None:
        rig.turns.watch.checked_load = 2
        rig.runtime.is_mute = is_mute
        rig.runtime.answers = [THOUGHT, THOUGHT + "\n\nyou quick"]

    loaded.addCallback(begin_anew)
    rig.settle()
    assert asked.error is None
    assert asked.result["model"] == "other"
    assert asked.result["structured"]["guaranteed"] is not is_mute
    assert asked.result["message"]["reasoning_content"] == streamed(asked) == "Well, you."


def test_reasoning_that_a_client_aborts_is_not_gone_on_with(rig: Rig) -> None:
    ask(rig, THOUGHT)
    rig.runtime.on_token = rig.npu.abort
    done = begin(rig, THOUGHT).result
    assert done["finish_reason"] == "cancelled"
    assert done["structured"]["parsed"] is None
    assert not done["message"]["content"]
    rig.runtime.on_token = lambda: None
    assert ask(rig, THOUGHT)["message"]["content"] in CHOICES
