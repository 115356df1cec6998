"""The fields of ``/v1/responses``, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rkllm_twisted.http.openai.fields import CHAT
from rkllm_twisted.http.translation.fields import (
    ANY,
    ARRAY,
    COUNT,
    FLAG,
    OBJECT,
    TEXT,
    Field,
    Rule,
)

_taken, _ignored = Rule.TAKEN, Rule.IGNORED
_silent, _refused = Rule.SILENT, Rule.REFUSED
_STATELESS = "Nothing is stored; send the whole conversation as input."
#: Fields that mean the same as those of chat completions.
_SAME = (
    "model",
    "stream",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "top_logprobs",
)

RESPONSES: Mapping[str, Field] = MappingProxyType(
    {
        **{name: CHAT[name] for name in _SAME},
        "input": Field(_taken, "The question, or all items of the conversation.", ANY),
        "instructions": Field(_taken, "The system message.", TEXT),
        "max_output_tokens": Field(_taken, "The most tokens of the answer.", COUNT),
        "text": Field(_taken, "format: the form of the answer.", OBJECT),
        "reasoning": Field(_taken, "effort none: do not reason first; another: do.", OBJECT),
        "truncation": Field(_taken, "auto: lose the oldest turns if all is too long.", TEXT),
        "include": Field(_silent, "What there is, is there.", ARRAY),
        "stream_options": Field(_silent, "The last event always has the usage.", OBJECT),
        "client_metadata": Field(_silent, "Not used.", OBJECT),
        "max_tool_calls": Field(_ignored, "No tools are run here.", COUNT),
        "context_management": Field(_ignored, "See truncation.", ARRAY, ([],)),
        "previous_response_id": Field(_refused, _STATELESS, TEXT),
        "conversation": Field(_refused, _STATELESS, ANY),
        "background": Field(_refused, _STATELESS, FLAG, (False,)),
        "prompt": Field(_refused, "There are no stored prompts.", OBJECT),
    }
)
