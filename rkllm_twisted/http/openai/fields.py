"""The fields of OpenAI's requests, and what becomes of each: the one table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rkllm_twisted.http.translation.fields import Field
from rkllm_twisted.http.translation.sampling import SAMPLING

MESSAGES: Mapping[str, Any] = MappingProxyType(
    {"type": "array", "items": {"type": "object"}, "minItems": 1}
)
#: What chat and text completions have in common.
COMMON: Mapping[str, Field] = MappingProxyType(
    {
        "model": Field.taken("The model's name, see /v1/models.", "string"),
        "stream": Field.taken("Send the answer in pieces.", "boolean"),
        "stream_options": Field.taken("include_usage: end with a piece that has usage.", "object"),
        "max_tokens": Field.taken("The most tokens of the answer.", "integer"),
        **SAMPLING,
        "stop": Field.taken("A text or several; the answer ends before the first.", "any"),
        "n": Field.taken("So many answers, made one after another; 8 at most.", "integer"),
        "seed": Field.ignored("No release of RKLLM has it.", "integer", (-1,)),
        "min_p": Field.ignored("No release of RKLLM has it.", "number", (0,)),
        "typical_p": Field.ignored("No release of RKLLM has it.", "number", (1,)),
        "logit_bias": Field.refused("RKLLM cannot change single tokens.", "object", ({},)),
        "user": Field.silent("Not used.", "string"),
    }
)
#: ``POST /v1/chat/completions``.
CHAT: Mapping[str, Field] = MappingProxyType(
    {
        **COMMON,
        "messages": Field.taken("The conversation.", MESSAGES),
        "max_completion_tokens": Field.taken("The same as max_tokens, and goes first.", "integer"),
        "tools": Field.taken("The functions that the model may call.", "array"),
        "tool_choice": Field.taken("auto, none, required, or a function.", "any"),
        "response_format": Field.taken(
            "The form of the answer: text, json_object, json_schema, regex, choices or grammar.",
            "object",
        ),
        "enable_thinking": Field.taken("True to let the model reason first.", "boolean"),
        "chat_template_kwargs": Field.taken("enable_thinking, as above.", "object"),
        "reasoning_effort": Field.taken("none: as enable_thinking false; else true.", "string"),
        "truncate": Field.taken("Leave out the oldest turns if all is too long.", "boolean"),
        "lora": Field.taken("The name of a loaded LoRA adapter.", "string"),
        "logprobs": Field.refused("RKLLM returns none with a run.", "boolean", (False,)),
        "top_logprobs": Field.refused("RKLLM returns none with a run.", "integer", (0,)),
        "functions": Field.refused("Old; use tools.", "array", ([],)),
        "function_call": Field.refused("Old; use tool_choice.", "any", ("none", "auto")),
        "audio": Field.refused("No model here speaks.", "object"),
        "modalities": Field.refused("Text only.", "array", (["text"], [])),
        "parallel_tool_calls": Field.ignored("The model decides.", "boolean", (True,)),
        "prediction": Field.ignored("Each token is generated.", "object"),
        "verbosity": Field.ignored("No model here has such a setting.", "string"),
        "web_search_options": Field.ignored("Nothing is searched.", "object"),
        "metadata": Field.silent("Not used.", "object"),
        "store": Field.silent("Nothing is stored.", "boolean"),
        "service_tier": Field.silent("Not used.", "string"),
        "safety_identifier": Field.silent("Not used.", "string"),
        "prompt_cache_key": Field.taken("Requests with one key are served together.", "string"),
        "prompt_cache_retention": Field.silent("Not used.", "string"),
    }
)
#: ``POST /v1/completions``.
TEXT_COMPLETION: Mapping[str, Field] = MappingProxyType(
    {
        **COMMON,
        "prompt": Field.taken("A text, tokens, or several of these; no template.", "any"),
        "suffix": Field.taken("The text behind the gap, for models that can fill one.", "string"),
        "echo": Field.taken("Begin each answer with its prompt.", "boolean"),
        "lora": Field.taken("The name of a loaded LoRA adapter.", "string"),
        "best_of": Field.refused("One answer is made, not the best of several.", "integer", (1,)),
        "logprobs": Field.refused("RKLLM returns none with a run.", "integer", (0,)),
    }
)
#: ``POST /v1/embeddings``.
EMBEDDINGS: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        "input": Field.taken("A text, tokens, or several of these.", "any"),
        "encoding_format": Field.taken("float, or base64 of little-endian float32.", "string"),
        "dimensions": Field.taken("Keep so many, for models that were trained so.", "integer"),
        "pooling": Field.taken("last, mean or cls, in place of the model's own.", "string"),
        "user": COMMON["user"],
    }
)
#: ``POST /v1/rerank``.
RERANK: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        "query": Field.taken("What the documents are to answer.", "string"),
        "documents": Field.taken("Texts, or objects with text.", "array"),
        "top_n": Field.taken("Return so many, the best ones.", "integer"),
        "return_documents": Field.taken("Return the texts, too.", "boolean"),
        "instruction": Field.taken("What counts as an answer.", "string"),
        "max_chunks_per_doc": Field.ignored("A document is not cut.", "integer"),
        "max_tokens_per_doc": Field.ignored("A document is not cut.", "integer"),
        "user": COMMON["user"],
    }
)
#: ``POST /tokenize``, in llama.cpp's form.
TOKENIZE: Mapping[str, Field] = MappingProxyType(
    {
        "model": COMMON["model"],
        "content": Field.taken("The text.", "string"),
        "parse_special": Field.taken("Read the texts of control tokens as such.", "boolean"),
        "add_special": Field.ignored("No tokens are added around the text.", "boolean", (False,)),
        "with_pieces": Field.refused("Ask /detokenize for the texts.", "boolean", (False,)),
    }
)
#: ``POST /detokenize``, in llama.cpp's form.
DETOKENIZE: Mapping[str, Field] = MappingProxyType(
    {"model": COMMON["model"], "tokens": Field.taken("The ids.", "array")}
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
