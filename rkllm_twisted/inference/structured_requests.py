"""``text.structured``, and the part of ``chat.complete`` that keeps to a form."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import attrs

from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.messages import Message, wrong
from rkllm_twisted.chat.prompts import ChatRequest, Prompt, TokenContent
from rkllm_twisted.chat.tools import NO_TOOLS, add_to_system
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.inference import chat_requests
from rkllm_twisted.inference.chat_turn import ChatTurn
from rkllm_twisted.inference.model_turns import ModelTurns
from rkllm_twisted.inference.pictures import PicturesOfPrompt
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply, call_figures, chat_reply, usage_reply
from rkllm_twisted.inference.requests import chat_request
from rkllm_twisted.inference.steered_calls import SteeredCalls
from rkllm_twisted.inference.structured_answers import (
    PreparedAnswer,
    Steered,
    Stream,
    answered,
    check_limits,
    checked,
    checked_turn,
    figures,
)
from rkllm_twisted.inference.text_requests import text_prompt
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.structured.begun_call import call_or
from rkllm_twisted.structured.form import KINDS, Form, response_form, the_form
from rkllm_twisted.structured.instruction import instruction
from rkllm_twisted.structured.sampling import read_sampling
from rkllm_twisted.structured.tool_form import argument_forms, call_form

#: Any form of the kind that a call has.
_ANYTHING = Form("grammar", "start: /.*/", "tools")


async def complete(turns: ModelTurns, params: Any, client: Hashable, stream: Stream) -> Reply:
    """Continue a text in a given form."""
    form = the_form({kind: getattr(params, kind) for kind in KINDS})
    check_limits(params)

    def stream_text(piece: Reply) -> None:
        stream({"text": piece["content"]})

    def prepare(profile: ModelProfile) -> PreparedAnswer:
        tokens = turns.engines.of(profile, form)
        own = profile if tokens is None else tokens.profile
        prompt = text_prompt(params, own)
        steered = None
        if tokens is not None:
            tokens.constrain(form)
            steered = Steered(prompt, tokens, lambda: tokens.constrain(form))

        def turn_of(said: tuple[Message, ...]) -> ChatTurn:
            return checked_turn(turns, params, own, _told_prompt(params, own, form, said))

        return PreparedAnswer(
            own, prompt, steered, checked(turns, params, form, NO_TOOLS, turn_of, stream_text)
        )

    profile, _, result = await answered(turns, params, client, stream_text, prepare)
    return {
        "model": profile.name,
        "text": result.answer.content or "",
        "finish_reason": result.answer.finish_reason,
        **figures(form, result),
        "usage": usage_reply(result.usage),
    }


async def chat(turns: ModelTurns, params: Any, client: Hashable, stream: Stream) -> Reply:
    """Answer a conversation; in a given form, if one is asked for."""
    form = response_form(params.response_format)
    if form is None or _wants_call(params):
        if _wants_call(params) and turns.engines.has("schema"):
            return await _call_tool(turns, params, client, stream)
        return await chat_requests.complete(
            turns, params, client, stream, lambda profile: _steered_calls(turns, params, profile)
        )
    check_limits(params)

    def prepare(profile: ModelProfile) -> PreparedAnswer:
        tokens = turns.engines.of(profile, form)
        steered = None
        own = profile if tokens is None or tokens.profile.chat.renderer is None else tokens.profile
        request = _in_form(chat_request(params, own, turns.pictures), form)
        prompt = compose(own.chat, request, turns.now())
        pictures = turns.pictures.of(prompt, own)
        if tokens is not None and isinstance(prompt.content, TokenContent):
            tokens.constrain(form)
            whole = _with_calls(form, request, tokens)
            reasons = not request.at_once and own.chat.reasoning is not None
            steered = Steered(prompt, tokens, lambda: tokens.constrain(whole), reasons)
        plain = attrs.evolve(request, at_once=False)
        anew = _anew(turns, params, own, plain, pictures)
        return PreparedAnswer(
            own, prompt, steered, checked(turns, params, form, request.tools, anew, stream)
        )

    profile, prompt, result = await answered(turns, params, client, stream, prepare)
    return {**chat_reply(profile, prompt, result), "structured": figures(form, result)}


def _anew(
    turns: ModelTurns,
    params: Any,
    profile: ModelProfile,
    request: ChatRequest,
    pictures: PicturesOfPrompt | None,
) -> Callable[[tuple[Message, ...]], ChatTurn]:
    """Return what makes the turn of an answer that is checked, after what was said before it."""

    def turn_of(said: tuple[Message, ...]) -> ChatTurn:
        again = attrs.evolve(request, messages=(*request.messages, *said))
        prompt = compose(profile.chat, again, turns.now())
        turn = checked_turn(turns, params, profile, prompt)
        return attrs.evolve(turn, pictures=pictures and pictures.newest(len(prompt.images)))

    return turn_of


def _with_calls(form: Form, request: ChatRequest, tokens: ModelTokens) -> Form:
    """Return the form of an answer that may be a call, too, if there are tools."""
    if not request.tools:
        return form
    for arguments in argument_forms(request.tools):
        tokens.constrain(arguments)
    chat = tokens.profile.chat
    control = chat.vocabulary.control if chat.vocabulary else {}
    whole = call_or(form, request.tools, chat.tool_format, control)
    tokens.constrain(whole)
    return whole


def _wants_call(params: Any) -> bool:
    return bool(params.tools) and params.tool_choice not in (None, "auto", "none")


async def _call_tool(turns: ModelTurns, params: Any, client: Hashable, stream: Stream) -> Reply:
    """Answer with a call of a tool whose arguments keep to its schema."""
    check_limits(params)

    def prepare(profile: ModelProfile) -> PreparedAnswer:
        has_grammars = turns.engines.has(_ANYTHING.kind)
        tokens = turns.engines.of(profile, _ANYTHING) if has_grammars else None
        own = profile if tokens is None or tokens.profile.chat.renderer is None else tokens.profile
        request = chat_request(params, own, turns.pictures)
        prompt = compose(own.chat, request, turns.now())
        pictures = turns.pictures.of(prompt, own)
        steered = None
        if tokens is not None and isinstance(prompt.content, TokenContent):
            for arguments in argument_forms(request.tools):
                tokens.constrain(arguments)
            form = call_form(request.tools, own.chat.tool_format)
            tokens.constrain(form)
            steered = Steered(prompt, tokens, lambda: tokens.constrain(form))
        anew = _anew(turns, params, own, request, pictures)
        return PreparedAnswer(
            own, prompt, steered, checked(turns, params, None, request.tools, anew, stream)
        )

    profile, prompt, result = await answered(turns, params, client, stream, prepare)
    said = call_figures(result.made, guaranteed=result.guaranteed)
    return {**chat_reply(profile, prompt, result), "structured": said}


def _steered_calls(turns: ModelTurns, params: Any, profile: ModelProfile) -> SteeredCalls | None:
    """Return what keeps the calls that a model may make to their schemas.

    :returns: None if that is not possible: the answer is then as without.
    """
    may_call = bool(params.tools) and params.tool_choice in (None, "auto")
    can_steer = turns.traits.plan.history and turns.traits.sizes
    if not (may_call and can_steer and turns.engines.has(_ANYTHING.kind)):
        return None
    request = chat_request(params, profile, turns.pictures)
    tokens = turns.engines.of(profile, _ANYTHING)
    if tokens is None or tokens.profile.chat.renderer is None:
        return None
    if any(message.images for message in request.messages):
        return None
    try:
        read_sampling({}, {}, params.sampling)
        tokens.constrain(call_form(request.tools, tokens.profile.chat.tool_format))
    except InvalidParams:
        return None
    limits = turns.limits(params, tokens.profile)
    return SteeredCalls(
        tokens,
        request.tools,
        turns.traits,
        turns.watch,
        params.sampling,
        turns.adapter(params.lora),
        limits.infer,
        params.max_new_tokens,
    )


def _in_form(request: ChatRequest, form: Form) -> ChatRequest:
    """Return the request with the form in its system message.

    The model does not reason first unless that is asked for.
    """
    reasons = bool(request.thinking)
    text = instruction(form, has_tools=bool(request.tools))
    messages = request.messages if text is None else add_to_system(request.messages, text)
    return attrs.evolve(request, messages=messages, thinking=reasons, at_once=not reasons)


def _told_prompt(
    params: Any, profile: ModelProfile, form: Form, said: tuple[Message, ...]
) -> Prompt:
    """Return the prompt of an answer that is checked.

    :raises InvalidParams: it has no room for the form.
    """
    try:
        return text_prompt(attrs.evolve(params, prompt=_asked(params.prompt, form, said)), profile)
    except InvalidParams as error:
        why = error.message.removeprefix("prompt: ").rstrip(".")
        raise wrong("prompt", f"with the form, which the model has to be told, it {why}") from None


def _asked(prompt: Any, form: Form, said: tuple[Message, ...]) -> Any:
    """Return a prompt that says what the form is; tokens are left as they are.

    :param said: an answer that was wrong, and what was said of it.
    """
    if not isinstance(prompt, str):
        return prompt
    further = [instruction(form), *(message.text for message in said)]
    return "\n".join([prompt, *filter(None, further), ""]) if any(further) else prompt
