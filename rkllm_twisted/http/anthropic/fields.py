"""The fields of Anthropic's requests, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rkllm_twisted.http.translation.fields import (
    ANY,
    ARRAY,
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    Field,
    Rule,
)

_taken, _ignored = Rule.TAKEN, Rule.IGNORED
_silent, _refused = Rule.SILENT, Rule.REFUSED

#: ``POST /v1/messages/count_tokens``.
COUNT_TOKENS: Mapping[str, Field] = MappingProxyType(
    {
        "model": Field(_taken, "The model's name, see /v1/models.", TEXT),
        "messages": Field(_taken, "The conversation.", ARRAY),
        "system": Field(_taken, "The system message: a text, or blocks of text.", ANY),
        "tools": Field(_taken, "The functions that the model may call.", ARRAY),
        "tool_choice": Field(_taken, "auto, any, none, or a tool.", OBJECT),
        "thinking": Field(_taken, "Whether the model reasons first; not for how long.", OBJECT),
        "cache_control": Field(_silent, "The cache needs no marks.", OBJECT),
        "mcp_servers": Field(_refused, "Nothing is connected to.", ARRAY, ([],)),
        "container": Field(_refused, "Nothing is run.", ANY),
        "output_config": Field(_ignored, "The model decides.", OBJECT, ({},)),
        "output_format": Field(_refused, "The form of an answer cannot be set.", OBJECT),
        "context_management": Field(_ignored, "The conversation is read as it is.", OBJECT, ({},)),
        "betas": Field(_silent, "Not used.", ARRAY),
        "speed": Field(_silent, "Not used.", TEXT),
    }
)
#: ``POST /v1/messages``.
MESSAGES: Mapping[str, Field] = MappingProxyType(
    {
        **COUNT_TOKENS,
        "max_tokens": Field(_taken, "The most tokens of the answer.", COUNT),
        "stop_sequences": Field(_taken, "Texts; the answer ends before the first.", ARRAY),
        "stream": Field(_taken, "Send the answer in events.", FLAG),
        "temperature": Field(_taken, "0 to 2; 0 takes the likeliest token.", NUMBER),
        "top_p": Field(_taken, "0 to 1.", NUMBER),
        "top_k": Field(_taken, "Sample among so many of the likeliest tokens.", COUNT),
        "metadata": Field(_silent, "Not used.", OBJECT),
        "service_tier": Field(_silent, "Not used.", TEXT),
        "inference_geo": Field(_silent, "Nothing leaves this machine.", TEXT),
    }
)
