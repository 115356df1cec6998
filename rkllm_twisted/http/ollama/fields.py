"""The fields of Ollama's requests, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rkllm_twisted.http.translation.fields import Field
from rkllm_twisted.http.translation.sampling import SAMPLING

_MODEL = Field.taken("The model's name, with or without :latest.", "string")
_NAME = Field.taken("Old; the same as model.", "string")
_OPTIONS = Field.taken("Settings of the run, such as temperature and num_predict.", "object")
_KEEP_ALIVE = Field.taken("0 unloads the model afterwards; else the daemon decides.", "any")
#: What ``/api/chat`` and ``/api/generate`` have in common.
_RUN: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "stream": Field.taken("Send the answer in lines, unless false.", "boolean"),
        "format": Field.taken("json, or a JSON schema; empty for any text.", "any"),
        "options": _OPTIONS,
        "keep_alive": _KEEP_ALIVE,
        "think": Field.taken("True, false, low, medium or high: let the model reason.", "any"),
        "truncate": Field.taken(
            "Unless false, lose the oldest turns if it is too long.", "boolean"
        ),
        "shift": Field.ignored("An answer ends where the context is full.", "boolean", (False,)),
        "logprobs": Field.refused("RKLLM returns none with a run.", "boolean", (False,)),
        "top_logprobs": Field.refused("RKLLM returns none with a run.", "integer", (0,)),
    }
)
#: ``POST /api/chat``.
CHAT: Mapping[str, Field] = MappingProxyType(
    {
        **_RUN,
        "messages": Field.taken("The conversation; without any, the model is loaded.", "array"),
        "tools": Field.taken("The functions that the model may call.", "array"),
    }
)
#: ``POST /api/generate``.
GENERATE: Mapping[str, Field] = MappingProxyType(
    {
        **_RUN,
        "prompt": Field.taken("The question; without one, the model is loaded.", "string"),
        "system": Field.taken("The system message.", "string"),
        "suffix": Field.taken("The text behind the gap, for models that can fill one.", "string"),
        "raw": Field.taken("Continue the prompt as it is, without a template.", "boolean"),
        "template": Field.refused("The model's own template is used.", "string", ("",)),
        "context": Field.refused("Send the conversation to /api/chat.", "array", ([],)),
        "images": Field.taken("Images in base64, for models that read them.", "array"),
    }
)
#: ``POST /api/embed``.
EMBED: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "input": Field.taken("A text, or several.", "any"),
        "truncate": Field.ignored("A text that is too long is refused.", "boolean", (False,)),
        "dimensions": Field.taken("Keep so many, for models trained so.", "integer", (0,)),
        "options": Field.ignored("An embedding has no settings.", "object", ({},)),
        "keep_alive": _KEEP_ALIVE,
    }
)
#: ``POST /api/embeddings``.
EMBEDDINGS: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "prompt": Field.taken("The text.", "string"),
        "options": EMBED["options"],
        "keep_alive": _KEEP_ALIVE,
    }
)
#: ``POST /api/show``.
SHOW: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "name": _NAME,
        "verbose": Field.ignored("Tensors and vocabulary are not shown.", "boolean", (False,)),
        "system": Field.ignored("The model's own settings are shown.", "string", ("",)),
        "template": Field.ignored("The model's own template is shown.", "string", ("",)),
        "options": Field.ignored("The model's own settings are shown.", "object", ({},)),
    }
)
#: ``POST /api/pull``.
PULL: Mapping[str, Field] = MappingProxyType(
    {
        "model": _MODEL,
        "name": _NAME,
        "stream": Field.taken("Send the answer in lines, unless false.", "boolean"),
        "insecure": Field.silent("Nothing is fetched.", "boolean"),
        "username": Field.silent("Nothing is fetched.", "string"),
        "password": Field.silent("Nothing is fetched.", "string"),
    }
)
_NONE = "No release of RKLLM has it."
_HARDWARE = "The daemon decides how the model is loaded."
#: The members of ``options``.
OPTIONS: Mapping[str, Field] = MappingProxyType(
    {
        "num_predict": Field.taken("The most tokens of the answer; below 1: any.", "integer"),
        "num_ctx": Field.taken("Ignored if the model has less room.", "integer"),
        "stop": Field.taken("Texts; the answer ends before the first.", "any"),
        **SAMPLING,
        "seed": Field.ignored(_NONE, "integer", (-1, 0)),
        "min_p": Field.ignored(_NONE, "number", (0,)),
        "typical_p": Field.ignored(_NONE, "number", (1,)),
        "tfs_z": Field.ignored(_NONE, "number", (1,)),
        "repeat_last_n": Field.ignored(_NONE, "integer"),
        "penalize_newline": Field.ignored(_NONE, "boolean"),
        "num_keep": Field.ignored("What is left out are whole turns.", "integer", (0,)),
        **{
            name: Field.silent(_HARDWARE, "any")
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
