"""Makes JSON values of answers, whole and in pieces. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rkllm_twisted.chat import events as came
from rkllm_twisted.chat.answer import ChatAnswer
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.chat.usage import Usage
from rkllm_twisted.inference.chat_turn import TurnResult
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.structured_turn import StructuredResult
from rkllm_twisted.structured.loop import StructuredAnswer

Reply = Mapping[str, object]


def pieces_of(events: Iterable[came.Event]) -> Iterator[Reply]:
    """Yield the partial results for events; the end is in the last result."""
    for event in came.joined(list(events)):
        match event:
            case came.Content(text):
                yield {"content": text}
            case came.Reasoning(text):
                yield {"reasoning_content": text}
            case came.ToolCallBegin(index, call_id, name):
                yield {"tool_call": {"index": index, "id": call_id, "name": name}}
            case came.ToolCallArguments(index, text):
                yield {"tool_call": {"index": index, "arguments": text}}
            case came.ToolCallBroken(index, text):
                yield {"tool_call": {"index": index, "broken": True}, "content": text}
            case came.Finish():
                pass


def chat_reply(
    profile: ModelProfile, prompt: Prompt, result: TurnResult | StructuredResult
) -> Reply:
    """Return the result of ``chat.complete``."""
    return {
        "model": profile.name,
        "message": message_of(result.answer),
        "finish_reason": result.answer.finish_reason,
        "tier": result.plan.tier.value,
        "flattened": result.plan.flattened,
        "changes": [*prompt.changes, *result.changes],
        "dropped_messages": prompt.dropped,
        "usage": usage_reply(result.usage),
    }


def call_figures(made: StructuredAnswer, *, guaranteed: bool = True) -> Reply:
    """Return what is said of calls.

    :param guaranteed: False if they were not made token by token, but checked.
    """
    return {
        "parsed": None,
        "tokens": len(made.tokens),
        "runs": made.runs,
        "forced": made.forced,
        "guaranteed": guaranteed,
    }


def message_of(answer: ChatAnswer) -> Reply:
    """Return the answer as a message in OpenAI's form."""
    message: dict[str, object] = {"role": "assistant", "content": answer.content}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.tool_calls
        ]
    return message


def usage_reply(usage: Usage) -> Reply:
    """Return the numbers of tokens and the times."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
        "prefill_ms": round(usage.prefill_ms, 3),
        "generate_ms": round(usage.generate_ms, 3),
    }
