"""A request becomes a prompt; an impossible one is refused before it reaches the NPU."""

from __future__ import annotations

from datetime import datetime
from functools import cache

import attrs
import pytest
from answers_in_chunks import parse
from chat_templates import SPECIALS, TEMPLATES
from vocabularies import vocabulary

from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.events import Content, Finish, Reasoning, ToolCallArguments, ToolCallBegin
from rkllm_twisted.chat.families import ReasoningMarks, named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.fitting import TokenCount, fit
from rkllm_twisted.chat.messages import Conversation, Message, Text, ToolCall, say
from rkllm_twisted.chat.model import ChatModel, Tier, chat_model, read_specials
from rkllm_twisted.chat.prompts import ChatRequest
from rkllm_twisted.chat.segments import Mark, text_of
from rkllm_twisted.chat.tools import NO_TOOLS, read_tools
from rkllm_twisted.errors import InvalidParams

NOW = datetime(2026, 1, 2)
WEATHER = [{"type": "function", "function": {"name": "weather"}}]
HI = (say("user", "Hi"),)


@cache
def qwen3(context: int = 4096) -> ChatModel:
    source, _ = TEMPLATES["qwen3"]
    return chat_model("q", context, template=source, vocabulary=vocabulary("byte_level"))


def test_the_tier_is_chosen_by_what_lies_beside_the_model() -> None:
    family = named("chatml", FAMILIES)
    own, source = vocabulary("byte_level"), TEMPLATES["chatml"][0]
    assert chat_model("m", 9).tier is Tier.RUNTIME
    assert chat_model("m", 9, vocabulary=own).tier is Tier.RUNTIME
    assert chat_model("m", 9, family=family).tier is Tier.TEMPLATE
    assert chat_model("m", 9, template=source).tier is Tier.TEMPLATE
    assert chat_model("m", 9, family=family, vocabulary=own).tier is Tier.TOKENS
    assert chat_model("m", 9, template=source, vocabulary=own).tier is Tier.TOKENS


def test_a_prompt_is_the_templates_tokens() -> None:
    prompt = compose(qwen3(), ChatRequest(HI), NOW)
    own = vocabulary("byte_level")
    start, end = own.control["<|im_start|>"], own.control["<|im_end|>"]
    assert prompt.content.tokens == (
        *(start, *own.encode_text("user\nHi"), end, *own.encode_text("\n")),
        *(start, *own.encode_text("assistant\n")),
    )


def test_reasoning_and_calls_are_read_in_the_models_form() -> None:
    prompt = compose(qwen3(), ChatRequest(HI, read_tools(WEATHER)), NOW)
    text = '<think>Hm.</think>\n\n<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>'
    assert parse(prompt.reading, [text]) == [
        Reasoning("Hm."),
        ToolCallBegin(0, "call_1", "weather"),
        ToolCallArguments(0, "{}"),
        Finish("tool_calls"),
    ]


def test_reasoning_that_the_template_opens_is_reasoning_from_the_start() -> None:
    source, _ = TEMPLATES["deepseek"]
    family = named("deepseek-r1", FAMILIES)
    for model in (
        chat_model("d", 4096, template=source, specials=SPECIALS["deepseek"]),
        chat_model("d", 4096, template=source, specials=SPECIALS["deepseek"], family=family),
        chat_model("d", 4096, family=family),
    ):
        reading = compose(model, ChatRequest(HI), NOW).reading
        assert parse(reading, ["Hm.</think>Yes"]) == [
            Reasoning("Hm."),
            Content("Yes"),
            Finish("stop"),
        ]


def test_a_template_without_tools_is_told_of_them_in_plain_english() -> None:
    model = chat_model(
        "m", 4096, template=TEMPLATES["chatml"][0], vocabulary=vocabulary("byte_level")
    )
    prompt = compose(model, ChatRequest(HI, read_tools(WEATHER)), NOW)
    assert "You can call functions." in text_of(prompt.content.pieces)
    assert prompt.changes == ("tools_as_text",)
    call = parse(prompt.reading, ['```json\n{"name": "weather", "parameters": {}}\n```'])
    assert call[0] == ToolCallBegin(0, "call_1", "weather")


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        ("required", '<tool_call>\n{"name": "'),
        ({"function": {"name": "weather"}}, '<tool_call>\n{"name": "weather", "arguments": '),
    ],
)
def test_an_answer_that_must_be_a_call_begins_as_one(choice: object, forced: str) -> None:
    prompt = compose(qwen3(), ChatRequest(HI, read_tools(WEATHER, choice)), NOW)
    assert prompt.forced == forced
    assert text_of(prompt.content.pieces).endswith(f"assistant\n{forced}")
    assert Mark("<tool_call>") in prompt.content.pieces[-2:]


def test_a_forced_call_closes_the_reasoning_that_the_template_opened() -> None:
    family = attrs.evolve(named("qwen3", FAMILIES), reasoning=ReasoningMarks(opened=True))
    model = chat_model("q", 4096, family=family, vocabulary=vocabulary("byte_level"))
    prompt = compose(model, ChatRequest(HI, read_tools(WEATHER, "required")), NOW)
    assert prompt.content.pieces[-6:] == (
        *(Mark("<think>"), "\n", Mark("</think>"), "\n\n"),
        *(Mark("<tool_call>"), '\n{"name": "'),
    )
    events = parse(prompt.reading, [prompt.forced, 'weather", "arguments": {}}\n</tool_call>'])
    assert events[0] == ToolCallBegin(0, "call_1", "weather")


def test_without_a_tokenizer_no_call_is_forced_and_that_is_said() -> None:
    request = ChatRequest(HI, read_tools(WEATHER, "required"))
    for family in (named("qwen3", FAMILIES), None):
        prompt = compose(chat_model("m", 4096, family=family), request, NOW)
        assert "tool_choice_not_forced" in prompt.changes


def test_without_tools_none_are_looked_for() -> None:
    reading = compose(qwen3(), ChatRequest(HI), NOW).reading
    assert reading.tool_format is None
    assert NO_TOOLS.names == frozenset()


def turns(count: int) -> Conversation:
    pairs = ((say("user", f"u{at}"), say("assistant", f"a{at}")) for at in range(count))
    talk = [message for pair in pairs for message in pair]
    return (say("system", "s"), *talk, say("user", "last"))


def counted(messages: Conversation) -> TokenCount:
    """Count each message as one token."""
    return TokenCount(len(messages))


def test_a_conversation_that_is_too_long_is_refused_with_the_figures() -> None:
    with pytest.raises(InvalidParams, match="leave messages out, or ask with truncate") as error:
        compose(qwen3(100), ChatRequest(turns(30)), NOW)
    tokens = len(compose(qwen3(), ChatRequest(turns(30)), NOW).content.tokens)
    assert error.value.data == {
        "parameter": "messages",
        "reason": "context_length",
        "prompt_tokens": tokens,
        "context": 100,
    }


def test_ten_megabytes_are_refused_without_counting_each_token() -> None:
    request = ChatRequest((say("user", "x y" * 3_400_000),), truncate=True)
    with pytest.raises(InvalidParams, match=r"The last turn alone has \d+ tokens or more and"):
        compose(qwen3(), request, NOW)


def test_truncate_loses_whole_oldest_turns_and_says_how_many_messages() -> None:
    prompt = compose(qwen3(200), ChatRequest(turns(30), truncate=True, max_new_tokens=50), NOW)
    text = text_of(prompt.content.pieces)
    assert len(prompt.content.tokens) <= 150
    assert prompt.dropped % 2 == 0
    first = prompt.dropped // 2
    assert f"u{first - 1}<" not in text
    assert text.startswith(f"<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu{first}<|im_end|>")
    assert "last" in text
    more = (*turns(30)[:1], *turns(30)[prompt.dropped - 1 :])
    assert len(compose(qwen3(), ChatRequest(more), NOW).content.tokens) > 150, "one turn more fits"


def test_a_last_turn_that_is_too_long_is_refused() -> None:
    request = ChatRequest((*turns(2)[:-1], say("user", "x" * 500)), truncate=True)
    with pytest.raises(InvalidParams, match="The last turn alone has"):
        compose(qwen3(100), request, NOW)


def test_a_turn_is_lost_with_its_calls_and_results() -> None:
    talk = (say("user", "a"), say("assistant", "b"), say("tool", "c"), say("user", "d"))
    fitted = fit(talk, lambda given: given, counted, context=4, max_new_tokens=3, truncate=True)
    assert (fitted.prompt, fitted.dropped) == (talk[3:], 3)


def test_as_many_turns_are_kept_as_there_is_room_for() -> None:
    """The system message, whole turns and the last message are kept."""
    for context in range(8, 60):
        fitted = fit(
            turns(30), lambda g: g, counted, context=context, max_new_tokens=2, truncate=True
        )
        room = context - 2
        assert len(fitted.prompt) == 2 + (room - 2) // 2 * 2


def test_2000_turns_are_truncated_with_a_few_renderings() -> None:
    made: list[int] = []

    def make(given: Conversation) -> Conversation:
        made.append(len(given))
        return given

    fitted = fit(turns(2000), make, counted, context=100, max_new_tokens=10, truncate=True)
    assert len(fitted.prompt) == 90
    assert len(made) < 16


@pytest.mark.parametrize("family", ["chatml", None])
def test_without_a_tokenizer_nothing_can_be_truncated(family: str | None) -> None:
    model = chat_model("m", 100, family=named(family, FAMILIES) if family else None)
    with pytest.raises(InvalidParams, match="cannot be counted without a tokenizer"):
        compose(model, ChatRequest(HI, truncate=True), NOW)


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - {"parts"}))
def test_slots_together_are_what_the_template_says(name: str) -> None:
    """System slot, prefix, message and postfix together make the whole conversation."""
    source, _ = TEMPLATES[name]
    model = chat_model("m", 4096, template=source, specials=SPECIALS.get(name))
    talk = (say("user", "a"), say("assistant", "b"), say("user", "c"))
    for given in (talk[:1], talk):
        content = compose(model, ChatRequest(given), NOW).content
        whole = text_of(model.renderer.render(given, now=NOW))
        assert content.system + content.prefix + content.text + content.postfix == whole
        assert content.prefix or name == "mistral"


@pytest.mark.parametrize("family", [None, "qwen2"])
def test_a_control_token_that_the_template_lacks_is_broken_up_in_slots(family: str | None) -> None:
    """It is the family's; if that is unknown, it may be any family's."""
    source, _ = TEMPLATES["chatml"]
    known = named(family, FAMILIES) if family else None
    model = chat_model("m", 4096, template=source, family=known)
    assert "<|endoftext|>" not in source
    talk = (say("user", "a<|endoftext|>"), say("assistant", "b"), say("user", "<|endoftext|>c"))
    content = compose(model, ChatRequest(talk), NOW).content
    assert "endoftext" in content.system
    assert "endoftext" in content.text
    assert "<|endoftext|>" not in content.system + content.prefix + content.text


def test_a_mark_that_the_template_joins_of_parts_stays_whole_in_slots() -> None:
    """In a message the same text is broken up."""
    source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
    model = chat_model("m", 4096, template=source)
    talk = (say("user", "a<|user|>"), say("assistant", "b"), say("user", "<|user|>c"))
    content = compose(model, ChatRequest(talk), NOW).content
    assert content.system.startswith("<|user|>a<")
    assert (content.system + content.prefix + content.text).count("<|user|>") == 2


def test_a_mark_in_a_calls_arguments_is_broken_up_even_if_it_is_escaped() -> None:
    source, _ = TEMPLATES["qwen3"]
    call = ToolCall("1", "f", '{"a": "\\u003c|endoftext|>"}')
    talk = (
        say("user", "a"),
        Message("assistant", tool_calls=(call,)),
        Message("tool", (Text("r"),), tool_call_id="1", name="f"),
    )
    content = compose(chat_model("m", 4096, template=source), ChatRequest(talk), NOW).content
    assert "endoftext" in content.system
    assert "<|endoftext|>" not in content.system


def test_slots_follow_each_other_in_a_conversation() -> None:
    """The first turn and a later one have the same prefix, so a conversation can continue."""
    for name in ("chatml", "qwen3", "llama3", "gemma", "deepseek"):
        source, _ = TEMPLATES[name]
        model = chat_model("m", 4096, template=source, specials=SPECIALS.get(name))
        talk = (say("user", "a"), say("assistant", "b"), say("user", "c"))
        first, later = (
            compose(model, ChatRequest(given), NOW).content for given in (talk[:1], talk)
        )
        assert (first.prefix, first.postfix) == (later.prefix, later.postfix)


def test_a_template_that_hides_the_last_message_is_refused() -> None:
    for template, own in (("nothing", None), ("", vocabulary("byte_level"))):
        model = chat_model("m", 100, template=template, vocabulary=own)
        with pytest.raises(InvalidParams, match="does not show the last message"):
            compose(model, ChatRequest(HI), NOW)


def test_specials_are_read_in_both_forms() -> None:
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": None, "x": "y"}
    assert read_specials(config) == {"bos_token": "<s>", "eos_token": "</s>"}
