"""The fields of Anthropic's requests, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rkllm_twisted.http.translation.fields import Field
from rkllm_twisted.http.translation.sampling import SAMPLING

#: ``POST /v1/messages/count_tokens``.
COUNT_TOKENS: Mapping[str, Field] = MappingProxyType(
    {
        "model": Field.taken("The model's name, see /v1/models.", "string"),
        "messages": Field.taken("The conversation.", "array"),
        "system": Field.taken("The system message: a text, or blocks of text.", "any"),
        "tools": Field.taken("The functions that the model may call.", "array"),
        "tool_choice": Field.taken("auto, any, none, or a tool.", "object"),
        "thinking": Field.taken("Whether the model reasons first; not for how long.", "object"),
        "cache_control": Field.silent("The cache needs no marks.", "object"),
        "mcp_servers": Field.refused("Nothing is connected to.", "array", ([],)),
        "container": Field.refused("Nothing is run.", "any"),
        "output_config": Field.taken(
            "format: of type json_schema; the answer keeps to it.", "object"
        ),
        "output_format": Field.taken("The same, as it was called before.", "object"),
        "context_management": Field.ignored("The conversation is read as it is.", "object", ({},)),
        "betas": Field.silent("Not used.", "array"),
        "speed": Field.silent("Not used.", "string"),
    }
)
#: ``POST /v1/messages``.
MESSAGES: Mapping[str, Field] = MappingProxyType(
    {
        **COUNT_TOKENS,
        "max_tokens": Field.taken("The most tokens of the answer.", "integer"),
        "stop_sequences": Field.taken("Texts; the answer ends before the first.", "array"),
        "stream": Field.taken("Send the answer in events.", "boolean"),
        **SAMPLING,
        "metadata": Field.silent("Not used.", "object"),
        "service_tier": Field.silent("Not used.", "string"),
        "inference_geo": Field.silent("Nothing leaves this machine.", "string"),
    }
)
