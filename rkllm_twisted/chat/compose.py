"""From a request to a prompt: everything that can be done before the NPU is used.

:func:`compose` blocks while it renders templates and encodes texts. Call it in a thread.
"""

from __future__ import annotations

import json
from datetime import datetime

import attrs

from rkllm_twisted.chat.arrange import arrange
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.fitting import TokenCount, fit
from rkllm_twisted.chat.image_tags import TAG, with_tags
from rkllm_twisted.chat.messages import Conversation
from rkllm_twisted.chat.model import ChatModel, Tier
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.prompts import ChatRequest, PlainContent, Prompt, TokenContent
from rkllm_twisted.chat.renderers import Renderer
from rkllm_twisted.chat.segments import Pieces, merged, split_marks, text_of
from rkllm_twisted.chat.slot import not_shown, slot_content
from rkllm_twisted.chat.tools import Tools, with_instruction
from rkllm_twisted.chat.transcript import transcript
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.errors import InvalidParams

NOT_FORCED = "tool_choice_not_forced"


def compose(model: ChatModel, request: ChatRequest, now: datetime) -> Prompt:
    """Return the prompt for a request.

    :param now: the local time, for templates that show the date.
    :raises InvalidParams: the template refuses the conversation, or the conversation is too long.
    """
    if any(message.images for message in request.messages):
        return _with_images(model, request, now)
    if model.renderer is None:
        return _for_runtime(model, request)
    if model.vocabulary is None:
        return _for_slot(model, model.renderer, request, now)
    return _as_tokens(model, model.renderer, model.vocabulary, request, now)


def _with_images(model: ChatModel, request: ChatRequest, now: datetime) -> Prompt:
    """Return a prompt as text: the runtime puts the rows of images in place of tags in a text."""
    if model.vocabulary is None:
        _cannot_truncate(request, model.tier)

    def make(messages: Conversation) -> Prompt:
        tagged = with_tags(messages)
        asked = attrs.evolve(request, messages=tagged.messages, truncate=False)
        if model.renderer is None:
            made = _for_runtime(model, asked)
        else:
            made = _for_slot(model, model.renderer, asked, now, left=(TAG,))
        changes = (*made.changes, *tagged.changes)
        return attrs.evolve(made, images=tagged.images, changes=changes)

    made = fit(
        request.messages,
        make,
        lambda made: count_with_images(model, made, request.image_tokens),
        context=model.context,
        max_new_tokens=request.max_new_tokens,
        truncate=request.truncate,
    )
    return attrs.evolve(made.prompt, dropped=made.dropped)


def count_with_images(model: ChatModel, prompt: Prompt, image_tokens: int) -> TokenCount:
    """Return how many tokens a prompt with images has.

    :param image_tokens: how many tokens the rows of an image are.
    """
    rows = len(prompt.images) * image_tokens
    text = "" if isinstance(prompt.content, TokenContent) else prompt.content.whole
    if model.vocabulary is None or model.renderer is None:
        return TokenCount(len(text.split()) + rows, exact=False, of_images=rows)
    pieces = split_marks(text, model.renderer.marks)
    return TokenCount(model.vocabulary.count(pieces) + rows, of_images=rows)


def _as_tokens(
    model: ChatModel,
    renderer: Renderer,
    vocabulary: Vocabulary,
    request: ChatRequest,
    now: datetime,
) -> Prompt:
    tools = request.tools

    def rendered(messages: Conversation) -> _Rendered:
        arranged, changes = arrange(messages, tools, renderer.abilities)
        pieces = renderer.render(arranged, now=now, tools=tools, thinking=request.thinking)
        if not pieces:
            raise not_shown()
        opened = _opened(model, pieces)
        if tools.required:
            pieces = merged([*pieces, *_forced(model, tools, opened=opened)])
        elif request.at_once and opened:
            pieces = merged([*pieces, *_closed(model)])
        at_least = vocabulary.count_at_least(pieces)
        tokens = () if at_least > model.context else vocabulary.encode(pieces)
        count = TokenCount(len(tokens)) if tokens else TokenCount(at_least, exact=False)
        return _Rendered(pieces, tokens, count, changes, opened)

    is_closed = tools.required or request.at_once
    made = fit(
        request.messages,
        rendered,
        lambda made: made.count,
        context=model.context,
        max_new_tokens=request.max_new_tokens,
        truncate=request.truncate,
    )
    return Prompt(
        TokenContent(made.prompt.pieces, made.prompt.tokens),
        _reading(model, request, opened=made.prompt.opened and not is_closed),
        made.prompt.changes,
        made.dropped,
        model.tool_format.beginning(tools.only) if tools.required else "",
    )


@attrs.frozen
class _Rendered:
    """A prompt that may still be too long.

    :param tokens: the prompt's tokens; empty if there are certainly too many.
    :param count: how many tokens there are, or a lower bound.
    :param changes: the names of the changes that :mod:`.arrange` made.
    :param opened: True if the template's text ends inside the reasoning.
    """

    pieces: Pieces
    tokens: tuple[int, ...]
    count: TokenCount
    changes: tuple[str, ...]
    opened: bool


def _opened(model: ChatModel, pieces: Pieces) -> bool:
    """True if a prompt ends inside the reasoning, after its opening mark."""
    marks = model.reasoning
    return marks is not None and _ends_with(text_of(pieces[-3:]), marks.open)


def _ends_with(text: str, mark: str) -> bool:
    return text.rstrip().endswith(mark)


def _closed(model: ChatModel) -> Pieces:
    """Return the end of the reasoning."""
    control = model.vocabulary.control if model.vocabulary else {}
    return split_marks(f"{model.reasoning.close}\n\n" if model.reasoning else "", control)


def _forced(model: ChatModel, tools: Tools, *, opened: bool) -> Pieces:
    """Return the beginning of a call, which forces the model to write one."""
    form = model.tool_format
    control = model.vocabulary.control if model.vocabulary else {}
    pieces = [*(_closed(model) if opened else ()), *split_marks(form.begin, control)]
    if tools.only is not None:
        name = json.dumps(tools.only, ensure_ascii=False)[1:-1]
        pieces += [name, *split_marks(form.arguments, control)]
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


def _for_slot(
    model: ChatModel,
    renderer: Renderer,
    request: ChatRequest,
    now: datetime,
    left: tuple[str, ...] = (),
) -> Prompt:
    """Return a prompt for the slots.

    :param left: texts that are left as they are, even if they are control tokens.
    """
    _cannot_truncate(request, model.tier)
    messages, changes = arrange(request.messages, request.tools, renderer.abilities)

    def render(given: Conversation, generate: bool) -> Pieces:
        return renderer.render(
            given, now=now, tools=request.tools, thinking=request.thinking, generate=generate
        )

    known = (renderer.marks, _family_marks(model))
    options = json.dumps([request.thinking, *request.tools.definitions], sort_keys=True)
    content = attrs.evolve(
        slot_content(messages, render, *(_but(left, marks) for marks in known)),
        options=options,
    )
    opened = model.reasoning is not None and _ends_with(content.postfix, model.reasoning.open)
    reading = _reading(model, request, opened=opened)
    return Prompt(content, reading, (*changes, *_unforced(request)))


def _but(left: tuple[str, ...], marks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(mark for mark in marks if mark not in left)


def _family_marks(model: ChatModel) -> tuple[str, ...]:
    """Return the marks of a model's family; those of all families if it is unknown."""
    families = FAMILIES if model.family is None else (model.family,)
    return tuple(dict.fromkeys(mark for family in families for mark in family.marks))


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
            "truncate: tokens cannot be counted without a tokenizer.json beside the model.",
            {"parameter": "truncate", "tier": tier.value},
        )
