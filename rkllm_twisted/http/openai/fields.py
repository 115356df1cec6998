"""The fields of OpenAI's requests, and what becomes of each: the one table of them."""

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
    kind,
)

_taken, _ignored = Rule.TAKEN, Rule.IGNORED
_silent, _refused = Rule.SILENT, Rule.REFUSED

#: What chat and text completions have in common.
COMMON: Mapping[str, Field] = MappingProxyType(
    {
        "model": Field(_taken, "The model's name, see /v1/models.", TEXT),
        "stream": Field(_taken, "Send the answer in pieces.", FLAG),
        "stream_options": Field(_taken, "include_usage: end with a piece that has usage.", OBJECT),
        "max_tokens": Field(_taken, "The most tokens of the answer.", COUNT),
        "temperature": Field(_taken, "0 to 2; 0 takes the likeliest token.", NUMBER),
        "top_p": Field(_taken, "0 to 1.", NUMBER),
        "top_k": Field(_taken, "Sample among so many of the likeliest tokens.", COUNT),
        "presence_penalty": Field(_taken, "-2 to 2.", NUMBER),
        "frequency_penalty": Field(_taken, "-2 to 2.", NUMBER),
        "repeat_penalty": Field(_taken, "1 is off.", NUMBER),
        "repetition_penalty": Field(_taken, "The same.", NUMBER),
        "mirostat": Field(_taken, "0 is off.", COUNT),
        "mirostat_tau": Field(_taken, "For mirostat.", NUMBER),
        "mirostat_eta": Field(_taken, "For mirostat.", NUMBER),
        "stop": Field(_taken, "A text or several; the answer ends before the first.", ANY),
        "n": Field(_taken, "So many answers, made one after another; 8 at most.", COUNT),
        "seed": Field(_ignored, "No release of RKLLM has it.", COUNT, (-1,)),
        "min_p": Field(_ignored, "No release of RKLLM has it.", NUMBER, (0,)),
        "typical_p": Field(_ignored, "No release of RKLLM has it.", NUMBER, (1,)),
        "logit_bias": Field(_refused, "RKLLM cannot change single tokens.", OBJECT, ({},)),
        "user": Field(_silent, "Not used.", TEXT),
    }
)
#: ``POST /v1/chat/completions``.
CHAT: Mapping[str, Field] = MappingProxyType(
    {
        **COMMON,
        "messages": Field(_taken, "The conversation.", kind("array", items=OBJECT, minItems=1)),
        "max_completion_tokens": Field(_taken, "The same as max_tokens, and goes first.", COUNT),
        "tools": Field(_taken, "The functions that the model may call.", ARRAY),
        "tool_choice": Field(_taken, "auto, none, required, or a function.", ANY),
        "response_format": Field(_taken, "The form of the answer.", OBJECT),
        "enable_thinking": Field(_taken, "True to let the model reason first.", FLAG),
        "chat_template_kwargs": Field(_taken, "enable_thinking, as above.", OBJECT),
        "reasoning_effort": Field(_taken, "none: as enable_thinking false; else true.", TEXT),
        "truncate": Field(_taken, "Leave out the oldest turns if all is too long.", FLAG),
        "lora": Field(_taken, "The name of a loaded LoRA adapter.", TEXT),
        "logprobs": Field(_refused, "RKLLM returns none with a run.", FLAG, (False,)),
        "top_logprobs": Field(_refused, "RKLLM returns none with a run.", COUNT, (0,)),
        "functions": Field(_refused, "Old; use tools.", ARRAY, ([],)),
        "function_call": Field(_refused, "Old; use tool_choice.", ANY, ("none", "auto")),
        "audio": Field(_refused, "No model here speaks.", OBJECT),
        "modalities": Field(_refused, "Text only.", ARRAY, (["text"], [])),
        "parallel_tool_calls": Field(_ignored, "The model decides.", FLAG, (True,)),
        "prediction": Field(_ignored, "Not used.", OBJECT),
        "verbosity": Field(_ignored, "Not used.", TEXT),
        "web_search_options": Field(_ignored, "Nothing is searched.", OBJECT),
        "metadata": Field(_silent, "Not used.", OBJECT),
        "store": Field(_silent, "Nothing is stored.", FLAG),
        "service_tier": Field(_silent, "Not used.", TEXT),
        "safety_identifier": Field(_silent, "Not used.", TEXT),
        "prompt_cache_key": Field(_taken, "Requests with one key are served together.", TEXT),
        "prompt_cache_retention": Field(_silent, "Not used.", TEXT),
    }
)
#: ``POST /v1/completions``.
TEXT_COMPLETION: Mapping[str, Field] = MappingProxyType(
    {
        **COMMON,
        "prompt": Field(_taken, "A text, tokens, or several of these; no template.", ANY),
        "suffix": Field(_taken, "The text behind the gap, for models that can fill one.", TEXT),
        "echo": Field(_taken, "Begin each answer with its prompt.", FLAG),
        "lora": Field(_taken, "The name of a loaded LoRA adapter.", TEXT),
        "best_of": Field(_refused, "One answer is made, not the best of several.", COUNT, (1,)),
        "logprobs": Field(_refused, "RKLLM returns none with a run.", COUNT, (0,)),
    }
)
#: ``POST /v1/embeddings``.
EMBEDDINGS: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        "input": Field(_taken, "A text, tokens, or several of these.", ANY),
        "encoding_format": Field(_taken, "float, or base64 of little-endian float32.", TEXT),
        "dimensions": Field(_taken, "Keep so many, for models that were trained so.", COUNT),
        "pooling": Field(_taken, "last, mean or cls, in place of the model's own.", TEXT),
        "user": COMMON["user"],
    }
)
#: ``POST /v1/rerank``.
RERANK: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        "query": Field(_taken, "What the documents are to answer.", TEXT),
        "documents": Field(_taken, "Texts, or objects with text.", ARRAY),
        "top_n": Field(_taken, "Return so many, the best ones.", COUNT),
        "return_documents": Field(_taken, "Return the texts, too.", FLAG),
        "instruction": Field(_taken, "What counts as an answer.", TEXT),
        "max_chunks_per_doc": Field(_ignored, "A document is not cut.", COUNT),
        "max_tokens_per_doc": Field(_ignored, "A document is not cut.", COUNT),
        "user": COMMON["user"],
    }
)
#: ``POST /tokenize``, in llama.cpp's form.
TOKENIZE: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        "content": Field(_taken, "The text.", TEXT),
        "parse_special": Field(_taken, "Read the texts of control tokens as such.", FLAG),
        "add_special": Field(_ignored, "Add none around the text.", FLAG, (False,)),
        "with_pieces": Field(_refused, "Ask /detokenize for the texts.", FLAG, (False,)),
    }
)
#: ``POST /detokenize``, in llama.cpp's form.
DETOKENIZE: Mapping[str, Field] = MappingProxyType(
    {"model": COMMON["model"], "tokens": Field(_taken, "The ids.", ARRAY)}
)
#: ``POST /apply-template``, in llama.cpp's form.
APPLY_TEMPLATE: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        **{
            name: CHAT[name]
            for name in (
                "messages",
                "tools",
                "tool_choice",
                "enable_thinking",
                "chat_template_kwargs",
                "reasoning_effort",
                "truncate",
            )
        },
    }
)
