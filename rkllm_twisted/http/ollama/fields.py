"""The fields of Ollama's requests, and what becomes of each."""

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

_MODEL = Field(_taken, "The model's name, with or without :latest.", TEXT)
_NAME = Field(_taken, "Old; the same as model.", TEXT)
_OPTIONS = Field(_taken, "Settings of the run, such as temperature and num_predict.", OBJECT)
_KEEP_ALIVE = Field(_taken, "0 unloads the model afterwards; else the daemon decides.", ANY)
#: What ``/api/chat`` and ``/api/generate`` have in common.
_RUN: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "stream": Field(_taken, "Send the answer in lines, unless false.", FLAG),
        "format": Field(_taken, "json, or a JSON schema of the answer.", ANY),
        "options": _OPTIONS,
        "keep_alive": _KEEP_ALIVE,
        "think": Field(_taken, "True, false, low, medium or high: let the model reason.", ANY),
        "truncate": Field(_taken, "Unless false, lose the oldest turns if all is too long.", FLAG),
        "shift": Field(_ignored, "An answer ends where the context is full.", FLAG, (False,)),
        "logprobs": Field(_refused, "RKLLM returns none with a run.", FLAG, (False,)),
        "top_logprobs": Field(_refused, "RKLLM returns none with a run.", COUNT, (0,)),
    }
)
#: ``POST /api/chat``.
CHAT: Mapping[str, Field] = MappingProxyType(
    {
        **_RUN,
        "messages": Field(_taken, "The conversation; without any, the model is loaded.", ARRAY),
        "tools": Field(_taken, "The functions that the model may call.", ARRAY),
    }
)
#: ``POST /api/generate``.
GENERATE: Mapping[str, Field] = MappingProxyType(
    {
        **_RUN,
        "prompt": Field(_taken, "The question; without one, the model is loaded.", TEXT),
        "system": Field(_taken, "The system message.", TEXT),
        "suffix": Field(_taken, "The text behind the gap, for models that can fill one.", TEXT),
        "raw": Field(_taken, "Continue the prompt as it is, without a template.", FLAG),
        "template": Field(_refused, "The model's own template is used.", TEXT, ("",)),
        "context": Field(_refused, "Send the conversation to /api/chat.", ARRAY, ([],)),
        "images": Field(_refused, "No model here reads images.", ARRAY, ([],)),
    }
)
#: ``POST /api/embed``.
EMBED: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "input": Field(_taken, "A text, or several.", ANY),
        "truncate": Field(_ignored, "A text that is too long is refused.", FLAG, (False,)),
        "dimensions": Field(_taken, "Keep so many, for models that were trained so.", COUNT, (0,)),
        "options": Field(_ignored, "An embedding has no settings.", OBJECT, ({},)),
        "keep_alive": _KEEP_ALIVE,
    }
)
#: ``POST /api/embeddings``.
EMBEDDINGS: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "prompt": Field(_taken, "The text.", TEXT),
        "options": EMBED["options"],
        "keep_alive": _KEEP_ALIVE,
    }
)
#: ``POST /api/show``.
SHOW: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "name": _NAME,
        "verbose": Field(_ignored, "Tensors and vocabulary are not shown.", FLAG, (False,)),
        "system": Field(_ignored, "The model's own settings are shown.", TEXT, ("",)),
        "template": Field(_ignored, "The model's own template is shown.", TEXT, ("",)),
        "options": Field(_ignored, "The model's own settings are shown.", OBJECT, ({},)),
    }
)
#: ``POST /api/pull``.
PULL: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "name": _NAME,
        "stream": Field(_taken, "Send the answer in lines, unless false.", FLAG),
        "insecure": Field(_silent, "Nothing is fetched.", FLAG),
        "username": Field(_silent, "Nothing is fetched.", TEXT),
        "password": Field(_silent, "Nothing is fetched.", TEXT),
    }
)
_NONE = "No release of RKLLM has it."
_HARDWARE = "The daemon decides how the model is loaded."
#: The members of ``options``.
OPTIONS: Mapping[str, Field] = MappingProxyType(
    {
        "num_predict": Field(_taken, "The most tokens of the answer; below 1: any.", COUNT),
        "num_ctx": Field(_taken, "Ignored if the model has less room.", COUNT),
        "stop": Field(_taken, "Texts; the answer ends before the first.", ANY),
        **{
            name: Field(_taken, "See RKLLMSamplingParam.", NUMBER)
            for name in (
                "temperature",
                "top_k",
                "top_p",
                "repeat_penalty",
                "presence_penalty",
                "frequency_penalty",
                "mirostat",
                "mirostat_tau",
                "mirostat_eta",
            )
        },
        "seed": Field(_ignored, _NONE, COUNT, (-1, 0)),
        "min_p": Field(_ignored, _NONE, NUMBER, (0,)),
        "typical_p": Field(_ignored, _NONE, NUMBER, (1,)),
        "tfs_z": Field(_ignored, _NONE, NUMBER, (1,)),
        "repeat_last_n": Field(_ignored, _NONE, COUNT),
        "penalize_newline": Field(_ignored, _NONE, FLAG),
        "num_keep": Field(_ignored, "What is left out are whole turns.", COUNT, (0,)),
        **{
            name: Field(_silent, _HARDWARE, ANY)
            for name in (
                "numa",
                "num_batch",
                "num_gpu",
                "main_gpu",
                "low_vram",
                "f16_kv",
                "use_mmap",
                "use_mlock",
                "num_thread",
            )
        },
    }
)
