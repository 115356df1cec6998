"""Makes the turns of an answer in a form: tokens are chosen, or the answer is only checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.messages import Message, wrong
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.inference import chat_requests
from rkllm_twisted.inference.chat_turn import ChatTurn
from rkllm_twisted.inference.checked_turns import CheckedTurns
from rkllm_twisted.inference.model_turns import ModelTurns, TurnCalls
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply, pieces_of
from rkllm_twisted.inference.structured_turn import (
    StructuredResult,
    StructuredTurn,
)
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.token_reader import NotAppendedError
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.call_check import call_check
from rkllm_twisted.structured.check import FormCheck
from rkllm_twisted.structured.form import Form
from rkllm_twisted.structured.sampling import read_sampling

Stream = Callable[[Reply], object]


@attrs.frozen
class Steered:
    """What the choice of tokens needs.

    :param reasons: True if the model is to reason first.
    """

    prompt: Prompt
    tokens: ModelTokens
    begin: Callable[[], IConstraint]
    reasons: bool = False


@attrs.frozen
class PreparedAnswer:
    """A request for an answer in a form, ready for the NPU.

    :param profile: the model's.
    :param prompt: for the result: what was changed, and what was left out.
    :param steered: None if the tokens cannot be chosen.
    :param checked: the turns of answers that are only checked.
    """

    profile: ModelProfile
    prompt: Prompt
    steered: Steered | None
    checked: CheckedTurns


async def answered(
    turns: ModelTurns,
    params: Any,
    client: Hashable,
    stream: Stream,
    prepare: Callable[[ModelProfile], PreparedAnswer],
) -> tuple[ModelProfile, Prompt, StructuredResult]:
    """Make the turns of an answer: tokens are chosen if that is possible, else it is checked.

    The client gets reasoning once, of the first turn that has some.
    """
    has_reasoned = False

    def work(
        _: ModelProfile, prepared: PreparedAnswer
    ) -> Iterator[TurnCalls[StructuredResult | None]]:
        has_failed: list[bool] = []
        if prepared.steered is not None and turns.traits.plan.history:
            had_reasoned = has_reasoned

            def stream_once(piece: Reply) -> None:
                nonlocal has_reasoned
                if "reasoning_content" in piece:
                    if had_reasoned:
                        return
                    has_reasoned = True
                stream(piece)

            turn = _steered_turn(turns, params, prepared.steered, stream_once)

            def perform(npu: ITurn) -> StructuredResult | None:
                try:
                    if turns.watch.unsteered_load != npu.loads:
                        return turn.perform(npu)
                except NotAppendedError:
                    turns.watch.unsteered_load = npu.loads
                has_failed.append(True)
                return None

            yield TurnCalls(perform, turn.continues)
            if not has_failed:
                return
        prepared.checked.has_reasoned = has_reasoned  # also of a turn with another model
        yield from prepared.checked.attempts()

    _, prepared, results = await turns.answer(params.model, client, prepare, work)
    result = results[-1]
    assert result is not None
    return prepared.profile, prepared.prompt, result


def check_limits(params: Any) -> None:
    """Check what is the same for each kind of answer.

    :raises InvalidParams: a value is wrong; the error names its place.
    """
    read_sampling({}, {}, params.sampling)
    asked = params.max_new_tokens
    if asked is not None and asked < 1:
        raise wrong("max_new_tokens", "must be at least 1")


def _steered_turn(
    turns: ModelTurns, params: Any, steered: Steered, stream: Stream
) -> StructuredTurn:
    return StructuredTurn(
        steered.tokens,
        steered.prompt,
        steered.begin,
        turns.traits,
        turns.watch,
        params.sampling,
        params.lora,
        turns.adapter(params.lora),
        params.max_new_tokens,
        _on_events(params, stream),
        getattr(params, "conversation", None),
        _free(turns, params, steered.tokens.profile) if steered.reasons else None,
    )


def _free(turns: ModelTurns, params: Any, profile: ModelProfile) -> Mapping[str, object]:
    """Return the fields of the run that the model reasons in."""
    quiet = attrs.evolve(params, sampling=_run_sampling(turns, params), max_new_tokens=None)
    return turns.limits(quiet, profile).infer


def checked(
    turns: ModelTurns,
    params: Any,
    form: Form | None,
    tools: Tools,
    turn_of: Callable[[tuple[Message, ...]], ChatTurn],
    stream: Stream,
) -> CheckedTurns:
    """Return the turns of an answer that is checked when it is there.

    :param form: of the answer's text; None if it has to be a call.
    :param tools: the functions that it may call.
    :raises InvalidParams: the form, or the schema of a function, cannot be kept to.
    """
    return CheckedTurns(
        turn_of,
        None if form is None else _text_check(turns, form),
        call_check(tools, turns.engines.text_constraint) if tools else None,
        "sampling_params" in turns.traits.run_fields,
        _on_events(params, stream),
    )


def _text_check(turns: ModelTurns, form: Form) -> Callable[[], FormCheck]:
    begin = turns.engines.text_constraint(attrs.evolve(form, flexible=True))
    return lambda: FormCheck(begin(), fenced=form.is_json)


def checked_turn(turns: ModelTurns, params: Any, profile: ModelProfile, prompt: Prompt) -> ChatTurn:
    """Return the turn of an ordinary answer, which is not streamed."""
    quiet = attrs.evolve(params, stream=False, sampling=_run_sampling(turns, params))
    return chat_requests.turn_of(turns, quiet, profile, prompt, lambda _: None)


def _run_sampling(turns: ModelTurns, params: Any) -> Any:
    """Return the sampling parameters that the runtime itself takes."""
    if not params.sampling or "sampling_params" not in turns.traits.run_fields:
        return None
    return {name: value for name, value in params.sampling.items() if name != "seed"}


def _on_events(params: Any, stream: Stream) -> Callable[[list[Event]], object] | None:
    def on_events(events: list[Event]) -> None:
        for piece in pieces_of(events):
            stream(piece)

    return on_events if params.stream else None


def figures(form: Form, result: StructuredResult) -> Reply:
    """Return what is said of an answer in a form beside the answer."""
    text = result.answer.content or ""
    is_whole = form.is_json and result.answer.finish_reason == "stop"
    return {
        "parsed": parsed(text) if is_whole else None,
        "tokens": len(result.made.tokens),
        "runs": result.made.runs,
        "forced": result.made.forced,
        "guaranteed": result.guaranteed,
    }


def parsed(text: str) -> object:
    """Return the value of JSON; None if it is none, because a stop text has ended it."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value
