"""One request in the words of a model: everything that can be said before the NPU is touched.

This renders templates, which are not trusted: call it where it can be ended (:mod:`.sandbox`).
"""

from __future__ import annotations

import json
from datetime import datetime

import attrs

from rkllm_twisted.chat.arrange import arrange
from rkllm_twisted.chat.fitting import fit
from rkllm_twisted.chat.messages import Conversation
from rkllm_twisted.chat.model import ChatModel, Tier
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.prompts import ChatRequest, PlainContent, Prompt, TokenContent
from rkllm_twisted.chat.renderers import Renderer
from rkllm_twisted.chat.segments import Mark, Pieces, merged, split_marks, text_of
from rkllm_twisted.chat.slot import slot_content
from rkllm_twisted.chat.tools import Tools, with_instruction
from rkllm_twisted.chat.transcript import transcript
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.errors import InvalidParams

NOT_FORCED = "tool_choice_not_forced"


def compose(model: ChatModel, request: ChatRequest, now: datetime) -> Prompt:
    """Put a request in the words of a model.

    :param now: the local time, for templates that tell the model the date.
    :raises InvalidParams: the template refuses the conversation, or it is too long.
    """
    if model.renderer is None:
        return _for_runtime(model, request)
    if model.vocabulary is None:
        return _for_slot(model, model.renderer, request, now)
    return _as_tokens(model, model.renderer, model.vocabulary, request, now)


def _as_tokens(
    model: ChatModel,
    renderer: Renderer,
    vocabulary: Vocabulary,
    request: ChatRequest,
    now: datetime,
) -> Prompt:
    def rendered(messages: Conversation) -> tuple[TokenContent, tuple[str, ...], str]:
        arranged, changes = arrange(messages, request.tools, renderer.abilities)
        pieces = renderer.render(arranged, now=now, tools=request.tools, thinking=request.thinking)
        forced = ""
        if request.tools.required:
            beginning = _forced(model, request.tools, opened=_opened(model, pieces))
            pieces = merged([*pieces, *beginning])
            forced = model.tool_format.beginning(request.tools.only)
        return TokenContent(pieces, vocabulary.encode(pieces)), changes, forced

    fitted = fit(
        request.messages,
        rendered,
        lambda made: len(made[0].tokens),
        context=model.context,
        max_new_tokens=request.max_new_tokens,
        truncate=request.truncate,
    )
    content, changes, forced = fitted.made
    opened = not forced and _opened(model, content.pieces)
    return Prompt(content, _reading(model, request, opened=opened), changes, fitted.dropped, forced)


def _opened(model: ChatModel, pieces: Pieces) -> bool:
    """True if a prompt ends within the reasoning."""
    marks = model.reasoning
    return marks is not None and _ends_with(text_of(pieces[-3:]), marks.open)


def _ends_with(text: str, mark: str) -> bool:
    return text.rstrip().endswith(mark)


def _forced(model: ChatModel, tools: Tools, *, opened: bool) -> Pieces:
    """Return the beginning of a call."""
    form = model.tool_format
    closed = f"{model.reasoning.close}\n\n" if opened and model.reasoning else ""
    marks = [*form.opens, *form.closes, closed.strip()]
    known = model.vocabulary.control if model.vocabulary else {}
    pieces: list[str | Mark] = [*split_marks(closed + form.begin, filter(known.get, marks))]
    if tools.only is not None:
        pieces.append(json.dumps(tools.only, ensure_ascii=False)[1:-1])
        pieces += split_marks(form.arguments, filter(known.get, marks))
    return merged(pieces)


def _reading(model: ChatModel, request: ChatRequest, *, opened: bool) -> Reading:
    return Reading(
        model.reasoning,
        opened,
        model.tool_format if request.tools else None,
        request.tools.names,
        request.stops,
        model.end_tokens,
    )


def _for_slot(model: ChatModel, renderer: Renderer, request: ChatRequest, now: datetime) -> Prompt:
    _cannot_truncate(request, model.tier)
    messages, changes = arrange(request.messages, request.tools, renderer.abilities)

    def render(given: Conversation, generate: bool) -> Pieces:
        return renderer.render(
            given, now=now, tools=request.tools, thinking=request.thinking, generate=generate
        )

    options = json.dumps([request.thinking, *request.tools.definitions], sort_keys=True)
    content = attrs.evolve(slot_content(messages, render, renderer.marks), options=options)
    opened = model.reasoning is not None and _ends_with(content.postfix, model.reasoning.open)
    reading = _reading(model, request, opened=opened)
    return Prompt(content, reading, (*changes, *_unforced(request)))


def _for_runtime(model: ChatModel, request: ChatRequest) -> Prompt:
    _cannot_truncate(request, model.tier)
    messages = request.messages
    if request.tools:
        messages = with_instruction(messages, request.tools)
    opened = bool(model.reasoning and model.reasoning.opened and request.thinking is not False)
    return Prompt(
        PlainContent(messages, messages[-1].text, transcript(messages), request.thinking),
        _reading(model, request, opened=opened),
        _unforced(request),
    )


def _unforced(request: ChatRequest) -> tuple[str, ...]:
    return (NOT_FORCED,) if request.tools.required else ()


def _cannot_truncate(request: ChatRequest, tier: Tier) -> None:
    if request.truncate:
        raise InvalidParams(
            "truncate: without a tokenizer.json beside the model nobody can count its tokens.",
            {"parameter": "truncate", "tier": tier.value},
        )
