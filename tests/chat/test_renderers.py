"""Each family's conversations are rendered by a template or by the table."""

from __future__ import annotations

from datetime import datetime
from functools import cache

import pytest
from chat_templates import SPECIALS, TEMPLATES

from rkllm_twisted.chat.abilities import Abilities
from rkllm_twisted.chat.arrange import arrange
from rkllm_twisted.chat.families import Family, family_of, marks_in, named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.messages import Message, Text, ToolCall, say
from rkllm_twisted.chat.renderers import FamilyRenderer, TemplateRenderer
from rkllm_twisted.chat.segments import Mark, text_of
from rkllm_twisted.chat.template import ChatTemplate
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS
from rkllm_twisted.chat.tools import NO_TOOLS, read_tools

NOW = datetime(2026, 1, 2)
TOOLS = read_tools([{"type": "function", "function": {"name": "weather", "parameters": {}}}])
CALL = Message("assistant", tool_calls=(ToolCall("call_1", "weather", '{"city": "Paris"}'),))
RESULT = Message("tool", (Text("rain"),), tool_call_id="call_1", name="weather")
TALK = (
    say("system", "Be brief."),
    say("user", "Weather?"),
    CALL,
    RESULT,
    say("assistant", "Rain."),
    say("system", "Be kind."),
    say("user", "Thanks."),
    say("user", "And now?"),
)


@cache
def rendered_by(name: str) -> TemplateRenderer:
    source, marks = TEMPLATES[name]
    return TemplateRenderer(ChatTemplate(source, marks, SPECIALS.get(name)))


ABILITIES = {
    "chatml": Abilities(),
    "qwen3": Abilities(tools=True, calls=True, thinking=True),
    "llama3": Abilities(tools=True, calls=True),
    "gemma": Abilities(system=False, later_system=False, neighbours=False),
    "mistral": Abilities(later_system=False, neighbours=False),
    "deepseek": Abilities(later_system=False, calls=True, arguments_as_text=True),
    "parts": Abilities(parts=True),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_can_show_is_found(name: str) -> None:
    assert rendered_by(name).abilities == ABILITIES[name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_shows_every_message_once_it_is_arranged(name: str) -> None:
    """Messages with unknown or non-alternating roles are not lost."""
    renderer = rendered_by(name)
    arranged, changes = arrange(TALK, TOOLS, renderer.abilities)
    text = text_of(renderer.render(arranged, now=NOW, tools=TOOLS))
    for message in ("Be brief.", "Weather?", "Paris", "rain", "Rain.", "Be kind.", "And now?"):
        assert text.count(message) == 1
    assert '"weather"' in text
    assert changes == CHANGES[name]


CHANGES = {
    "chatml": ("tools_as_text",),
    "qwen3": (),
    "llama3": (),
    "gemma": ("tools_as_text", "system_as_user", "system_folded", "neighbours_joined"),
    "mistral": ("tools_as_text", "system_as_user", "neighbours_joined"),
    "deepseek": ("tools_as_text", "system_as_user"),
    "parts": ("tools_as_text",),
}


def test_what_needs_no_change_is_not_changed() -> None:
    talk = (say("system", "Be brief."), say("user", "Hi"))
    for name in ("chatml", "qwen3", "llama3", "mistral", "deepseek"):
        assert arrange(talk, NO_TOOLS, rendered_by(name).abilities) == (talk, ())


def test_a_system_message_alone_becomes_the_users() -> None:
    arranged, _ = arrange((say("system", "Hi"),), NO_TOOLS, Abilities(system=False))
    assert arranged == (say("user", "Hi"),)


def test_earlier_reasoning_is_the_templates_matter() -> None:
    """Qwen3's template shows it in the current turn only."""
    thought = Message("assistant", CALL.parts, "Hm.", CALL.tool_calls)
    renderer = rendered_by("qwen3")
    shown = text_of(renderer.render((say("user", "a"), thought, RESULT), now=NOW))
    assert "<think>\nHm.\n</think>" in shown
    past = (say("user", "a"), Message("assistant", (Text("b"),), "Hm."), say("user", "c"))
    assert "Hm." not in text_of(renderer.render(past, now=NOW))


def test_thinking_can_be_switched_off() -> None:
    pieces = rendered_by("qwen3").render((say("user", "a"),), now=NOW, thinking=False)
    assert pieces[-4:] == (Mark("<think>"), "\n\n", Mark("</think>"), "\n\n")


SHORT = (say("system", "S"), say("user", "a"), say("assistant", "b"), say("user", "c"))
#: The conversation SHORT in each family's own marks, copied from its documentation.
BY_FAMILY = {
    "chatml": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
        "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "gemma": (
        "<bos><start_of_turn>user\nS\n\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n"
        "<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n"
    ),
    "phi3": (
        "<|system|>\nS<|end|>\n<|user|>\na<|end|>\n<|assistant|>\nb<|end|>\n"
        "<|user|>\nc<|end|>\n<|assistant|>\n"
    ),
    "phi4-mini": (
        "<|system|>S<|end|><|user|>a<|end|><|assistant|>b<|end|><|user|>c<|end|><|assistant|>"
    ),
    "deepseek-r1": (
        "<｜begin▁of▁sentence｜>S<｜User｜>a<｜Assistant｜>b<｜end▁of▁sentence｜>"
        "<｜User｜>c<｜Assistant｜><think>\n"
    ),
    "mistral": "<s>[INST] S\n\na[/INST]b</s>[INST] c[/INST]",
    "internlm2": (
        "<s><|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
        "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"
    ),
    "internvl3": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
        "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"
    ),
}


@pytest.mark.parametrize("name", BY_FAMILY)
def test_a_familys_marks_stand_where_its_documentation_has_them(name: str) -> None:
    renderer = FamilyRenderer(named(name, FAMILIES))
    arranged, _ = arrange(SHORT, NO_TOOLS, renderer.abilities)
    pieces = renderer.render(arranged, now=NOW)
    assert text_of(pieces) == BY_FAMILY[name]
    assert {piece.text for piece in pieces if isinstance(piece, Mark)} <= set(renderer.marks)
    forged = renderer.render((say("user", BY_FAMILY[name]),), now=NOW)
    assert any(isinstance(piece, str) and BY_FAMILY[name] in piece for piece in forged)


def test_calls_and_results_have_the_familys_form() -> None:
    renderer = FamilyRenderer(named("qwen3", FAMILIES))
    text = text_of(renderer.render((say("user", "a"), CALL, RESULT), now=NOW, generate=False))
    assert text == (
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
        '{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\nrain\n</tool_response><|im_end|>\n"
    )


def test_all_marks_of_a_call_count() -> None:
    pieces = FamilyRenderer(named("deepseek-r1", FAMILIES)).render((CALL,), now=NOW, generate=False)
    assert [one for one in pieces if isinstance(one, str)] == [
        *("function", 'weather\n```json\n{"city": "Paris"}\n```'),
    ]


def test_a_family_is_told_of_tools_in_its_own_form() -> None:
    """Only the example's marks are control tokens; a tool's description is plain text."""
    tools = read_tools([{"type": "function", "function": {"name": "f", "description": "<s>"}}])
    for name, talk, before, behind in (
        ("qwen3", SHORT, "system\nS\n\nYou can call", "answer as usual."),
        ("qwen3", SHORT[1:], "system\nYou can call", "answer as usual."),
        ("gemma", SHORT[1:2], "user\nYou can call", "answer as usual.\n\na"),
    ):
        renderer = FamilyRenderer(named(name, FAMILIES))
        arranged, changes = arrange(talk, tools, renderer.abilities)
        assert changes == ()
        pieces = renderer.render(arranged, now=NOW, tools=tools)
        told = next(at for at, one in enumerate(pieces) if isinstance(one, str) and before in one)
        assert '{"name": "f", "description": "<s>"}' in pieces[told]
        assert behind in text_of(pieces[told:])
        assert text_of(pieces).count("You can call") == 1
        assert (Mark("<tool_call>") in pieces) == (name == "qwen3")


def test_a_mark_that_the_vocabulary_lacks_is_letters() -> None:
    """Qwen2.5 has no token <tool_response>; Qwen3 has one."""
    renderer = FamilyRenderer(named("qwen2", FAMILIES), {"<|im_start|>", "<|im_end|>"})
    assert set(renderer.marks) == {"<|im_start|>", "<|im_end|>"}
    # If a family's own beginning is no token, the family is wrong: tokenising shows it.
    assert "<|im_start|>" in FamilyRenderer(named("qwen2", FAMILIES), {"<s>"}).marks


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row.name)
def test_each_row_of_the_table_is_whole(row: Family) -> None:
    assert row.source
    assert row.tool_format in TOOL_FORMATS
    assert row.end_tokens
    assert set(row.end_tokens) <= set(row.marks)
    assert all(start == start.lower() for start in row.models)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Qwen2.5-1.5B-Instruct", "qwen2"),
        ("models/Qwen3-1.7B-rk3588-w8a8.rkllm", "qwen3"),
        ("Qwen_Qwen3", "qwen2"),
        ("SmolLM2-135M", "chatml"),
        ("Llama-3.2-1B-Instruct", "llama3"),
        ("gemma-3-1b-it", "gemma"),
        ("Phi-3-mini-4k-instruct", "phi3"),
        ("Phi-4-mini-instruct", "phi4-mini"),
        ("DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-r1"),
        ("Mistral-7B-Instruct-v0.3", "mistral"),
        ("internlm2-chat-1_8b", "internlm2"),
        ("InternVL2-2B", "internlm2"),
        ("InternVL3-1B_rk3588", "internvl3"),
        ("InternVL3_5-2B", "internvl3"),
        ("MiniCPM-V-2_6_w8a8_rk3588", "minicpm-v"),
        ("MiniCPM3-4B", "chatml"),
        ("SmolVLM-256M-Instruct", "smolvlm"),
        ("deepseekocr_w8a8_rk3588", "deepseek-ocr"),
        ("DeepSeek-OCR", "deepseek-ocr"),
        ("my-own-model", None),
        ("TinyLlama", None),
    ],
)
def test_a_models_name_is_looked_up_in_the_table(model: str, family: str | None) -> None:
    found = family_of(model, FAMILIES)
    assert (found.name if found else None) == family


def test_a_family_can_be_named() -> None:
    assert named("gemma", FAMILIES).name == "gemma"
    assert named("gamma", FAMILIES) is None


def test_marks_are_found_in_a_templates_text() -> None:
    for source, marks in TEMPLATES.values():
        found = marks_in(source)
        assert {mark for mark in marks if mark in source} <= set(found)
    assert marks_in("a < b and c > d, [1], [x for x in y]") == ()
