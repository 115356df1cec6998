"""Images in a conversation: tags in the prompt, and a run that leaves nothing behind."""

from __future__ import annotations

from datetime import datetime

import pytest
from chat_templates import CHATML
from vocabularies import vocabulary

from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.families import named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.messages import Conversation, Image, Message, Text, ToolCall, say
from rkllm_twisted.chat.model import ChatModel, chat_model
from rkllm_twisted.chat.plan import Plan, Traits, plan
from rkllm_twisted.chat.prompts import ChatRequest, PlainContent, Prompt, SlotContent
from rkllm_twisted.chat.trail import CacheKey, Trail
from rkllm_twisted.errors import InvalidParams

NOW = datetime(2026, 1, 2, 3, 4)
A, B = Image(b"a"), Image(b"b")
WHAT = Message("user", (A, Text("What is it?")))
LATER = (WHAT, say("assistant", "A cat."), Message("user", (Text("And "), B, Text("?"))))


def model(tier: str, context: int = 4096) -> ChatModel:
    match tier:
        case "runtime":
            return chat_model("m", context)
        case "template":
            return chat_model("m", context, template=CHATML)
        case "family":
            return chat_model("m", context, family=named("qwen3", FAMILIES))
        case _:
            return chat_model("m", context, template=CHATML, vocabulary=vocabulary("byte_level"))


def composed(tier: str, messages: Conversation, context: int = 4096, **asked: object) -> Prompt:
    request = ChatRequest(messages, image_tokens=10, **asked)  # type: ignore[arg-type]
    return compose(model(tier, context), request, NOW)


def text_of(prompt: Prompt) -> str:
    assert isinstance(prompt.content, SlotContent | PlainContent)
    return prompt.content.text if isinstance(prompt.content, SlotContent) else prompt.content.flat


TIERS = ("runtime", "template", "family", "tokens")


@pytest.mark.parametrize("tier", TIERS)
def test_a_tag_stands_at_an_image_s_place(tier: str) -> None:
    prompt = composed(tier, (say("system", "Be brief."), LATER[-1]))
    assert text_of(prompt).endswith("And <image>?")
    assert prompt.images == (B,)
    assert prompt.changes == ()


@pytest.mark.parametrize("tier", TIERS)
def test_messages_write_no_tags(tier: str) -> None:
    messages = (say("system", "<image>"), Message("user", (Text("<image> or "), A)))
    prompt = composed(tier, messages)
    assert not isinstance(prompt.content, SlotContent) or "<image>" not in prompt.content.system
    assert text_of(prompt).count("<image>") == 1
    assert text_of(prompt).endswith("or <image>")


@pytest.mark.parametrize("tier", TIERS)
def test_what_follows_the_first_image_is_plain_text(tier: str) -> None:
    prompt = composed(tier, (say("user", "Hi"), say("assistant", "Hello."), *LATER))
    text = text_of(prompt)
    assert text.endswith("User: <image>What is it?\nAssistant: A cat.\n\nAnd <image>?")
    assert prompt.images == (A, B)
    assert prompt.changes == ("turns_as_text",)
    if isinstance(prompt.content, SlotContent):
        assert "Hello." in prompt.content.system
        assert "Hello." not in text


CALLS = Message("assistant", tool_calls=(ToolCall("c1", "look", "{}"), ToolCall("c2", "ask", "{}")))
SEEN = Message("tool", (Text("Seen: "), A), tool_call_id="c1")


@pytest.mark.parametrize("tier", TIERS)
def test_a_tool_s_image_stands_in_its_result(tier: str) -> None:
    prompt = composed(tier, (say("user", "Look."), CALLS, SEEN))
    assert "Seen: <image>" in text_of(prompt)
    assert prompt.images == (A,)


@pytest.mark.parametrize("tier", TIERS)
def test_results_of_tools_stay_behind_their_calls(tier: str) -> None:
    talk = (say("user", "Look."), CALLS, SEEN, Message("tool", (Text("Blue."),), tool_call_id="c2"))
    prompt = composed(tier, talk)
    assert text_of(prompt).endswith("look({})\nask({})\nFunction: Seen: <image>\n\nBlue.")
    if isinstance(prompt.content, SlotContent):
        assert "look" not in prompt.content.system


def test_a_tag_that_is_a_control_token_stays_whole() -> None:
    template = CHATML + "{# <image> #}"
    made = chat_model("m", 4096, template=template)
    prompt = compose(made, ChatRequest((WHAT,)), NOW)
    assert text_of(prompt) == "<image>What is it?"


@pytest.mark.parametrize("tier", TIERS)
def test_images_must_fit_the_context(tier: str) -> None:
    with pytest.raises(InvalidParams, match="tokens.*, 20 of them of images, and the model's") as e:
        composed(tier, LATER, 30)
    assert (e.value.data or {})["reason"] == "context_length"


def test_images_of_turns_that_are_left_out_are_not_read() -> None:
    talk = (*LATER[:2], *LATER[:2], LATER[-1])
    prompt = composed("tokens", talk, 125, truncate=True)
    assert prompt.images == (B,)
    assert prompt.dropped == 4


def test_without_a_tokenizer_nothing_is_left_out() -> None:
    with pytest.raises(InvalidParams, match="^truncate: "):
        composed("template", LATER, truncate=True)


def planned(tier: str, **traits: bool) -> Plan:
    made = model(tier)
    trail = Trail(CacheKey(made.key, None, made.tier), messages=LATER[:2])
    return plan(made, composed(tier, LATER), trail, traits=Traits(**traits))


@pytest.mark.parametrize("tier", TIERS)
def test_the_cache_is_cleared_before_and_unknown_after(tier: str) -> None:
    made = planned(tier)
    assert made.calls[0].function == "rkllm_clear_kv_cache"
    assert (made.trail, made.continued, made.keep_history) == (None, False, 0)


@pytest.mark.parametrize("tier", TIERS)
def test_the_run_is_multimodal(tier: str) -> None:
    made = planned(tier)
    assert made.run_input["input_type"] == "RKLLM_INPUT_MULTIMODAL"
    assert made.run_input["multimodal_input"]["prompt"].endswith("And <image>?")
    assert "prompt_input" not in made.run_input


def test_a_template_is_set_before() -> None:
    """Without it, Rockchip's library may not parse the model's own (its answer: set one)."""
    assert [call.function for call in planned("tokens").calls] == [
        "rkllm_clear_kv_cache",
        "rkllm_set_chat_template",
    ]


def test_a_release_without_templates_and_history_reads_one_text() -> None:
    made = planned("template", history=False, templates=False, roles=False)
    assert (made.calls, made.keep_history) == ((), None)
    assert made.run_input["multimodal_input"]["prompt"].startswith("<|im_start|>")
    assert set(made.run_input) == {"input_type", "multimodal_input"}
