"""The fields of ``/v1/responses``, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rkllm_twisted.http.openai.fields import CHAT
from rkllm_twisted.http.translation.fields import Field
from rkllm_twisted.http.translation.sampling import SAMPLING

_STATELESS = "Nothing is stored; send the whole conversation as input."
#: Fields that mean the same as those of chat completions.
_SAME = (
    "model",
    "stream",
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
        **SAMPLING,
        "input": Field.taken("The question, or all items of the conversation.", "any"),
        "instructions": Field.taken("The system message.", "string"),
        "max_output_tokens": Field.taken("The most tokens of the answer.", "integer"),
        "text": Field.taken("format: text, json_object or json_schema.", "object"),
        "reasoning": Field.taken("effort none: do not reason first; another: do.", "object"),
        "truncation": Field.taken("auto: lose the oldest turns if all is too long.", "string"),
        "include": Field.silent("What there is, is there.", "array"),
        "stream_options": Field.silent("The last event always has the usage.", "object"),
        "client_metadata": Field.silent("Not used.", "object"),
        "max_tool_calls": Field.ignored("No tools are run here.", "integer"),
        "context_management": Field.ignored("Only truncation leaves turns out.", "array", ([],)),
        "previous_response_id": Field.refused(_STATELESS, "string"),
        "conversation": Field.refused(_STATELESS, "any"),
        "background": Field.refused(_STATELESS, "boolean", (False,)),
        "prompt": Field.refused("There are no stored prompts.", "object"),
    }
)
