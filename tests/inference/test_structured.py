"""Answers in a form over a runtime that can be made to misbehave, with the made-up constraint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from inference_rig import Rig, furnish, user
from made_up_constraint import MadeUp
from vocabularies import vocabulary

from rkllm_twisted.errors import InternalError, RuntimeRefused
from rkllm_twisted.inference.token_engines import TokenEngines
from rkllm_twisted.methods.text_structured import Params

FORM = {"type": "choices", "choices": ["you helpful", "you quick"]}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(furnish(tmp_path, "tokens"), "tokens")
    rig.turns.engines = TokenEngines(lambda _: MadeUp())
    return rig


def ask(rig: Rig, *messages: Any, **params: Any) -> Any:
    asked = rig.ask([*messages], **{"response_format": FORM, **params})
    if asked.error is not None:
        raise asked.error
    return asked.result


def test_a_conversation_goes_on_in_the_cache(rig: Rig) -> None:
    """Also with an ordinary answer in between."""
    first = ask(rig, user("What?"))
    assert first["message"]["content"] in FORM["choices"]
    talk = [user("What?"), first["message"], user("Sure?")]
    second = ask(rig, *talk)
    assert second["usage"]["cached_tokens"] > first["usage"]["prompt_tokens"]
    third = ask(rig, *talk, second["message"], user("How?"), response_format=None)
    assert "structured" not in third


def test_the_tokenizer_is_compared_with_the_models_once(rig: Rig) -> None:
    for _ in range(2):
        ask(rig, user("What?"))
    modes = rig.runtime.performed.count("rkllm_clear_kv_cache")
    assert rig.turns.watch.checked_load == 1
    assert modes >= 2


@pytest.mark.parametrize("columns", [10, 5000])
def test_a_model_of_another_width_is_refused(rig: Rig, columns: int) -> None:
    rig.runtime.columns = columns
    with pytest.raises(RuntimeRefused, match="tokenizer has"):
        ask(rig, user("What?"))


@pytest.mark.parametrize(
    "fault",
    [
        {"is_mute": True},
        {"keeps_array_runs": lambda keep: False},
    ],
    ids=["no logits", "nothing is appended"],
)
def test_a_runtime_that_cannot_is_asked_for_checked_answers(
    rig: Rig, fault: dict[str, Any]
) -> None:
    for name, value in fault.items():
        setattr(rig.runtime, name, value)
    with pytest.raises(RuntimeRefused, match="in 3 attempts"):
        ask(rig, user("What?"), stream=True)
    assert rig.turns.watch.unsteered_load == 1


def test_a_checked_answer_that_fits_is_not_called_guaranteed(rig: Rig) -> None:
    rig.runtime.is_mute = True
    form = {"type": "choices", "choices": ["saw zq1q", "saw zq2q"]}
    done = ask(rig, user("zq1q"), response_format=form)
    assert done["message"]["content"] == "saw zq1q"
    assert done["structured"]["guaranteed"] is False
    assert done["structured"]["runs"] == 1


def test_no_engine_is_one_sentence(rig: Rig) -> None:
    def none(kind: str) -> Any:
        raise InternalError("Install it.")

    rig.turns.engines = TokenEngines(none)
    with pytest.raises(InternalError, match=r"^Install it\.$"):
        ask(rig, user("What?"))
    assert rig.ask([user("zq1q")]).text == "saw zq1q"


def test_it_is_cancelled_at_every_token(tmp_path: Path) -> None:
    """The NPU is free again, and the next answer is whole."""
    rig = Rig(furnish(tmp_path, "tokens"), "tokens", paced=True)
    rig.turns.engines = TokenEngines(lambda _: MadeUp())
    texts = ["".join(letters) for letters in ("abcdefgh", "abcdefgx", "axcdefgh", "abxdefgh")]
    for steps in range(30):
        asked = rig.begin("text.structured", Params("The", choices=texts))
        for _ in range(steps):
            if getattr(rig.thread, "busy", False):
                rig.thread.step()
        was_over = asked.is_over
        asked.done.cancel()
        rig.settle()
        if was_over:
            break
    whole = rig.begin("text.structured", Params("The", choices=texts))
    while not whole.is_over:
        rig.settle()
    assert whole.result["text"] in texts
    assert rig.npu.status().state == "loaded"
    assert vocabulary("byte_level").size


def test_two_clients_at_once_get_their_own(rig: Rig) -> None:
    one = rig.start([user("What?")], client="one", response_format=FORM)
    other = rig.begin("text.structured", Params("The", choices=["me", "it"]), client="other")
    rig.settle()
    assert one.result["message"]["content"] in FORM["choices"]
    assert other.result["text"] in ("me", "it")
