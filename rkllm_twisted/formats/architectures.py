"""Kinds of GGUF models besides decoders that generate text, by its metadata.

A runtime finds out when it loads the model, and has then unloaded the one before. The sources are
llama.cpp's own lists (``llm_arch_is_recurrent``, ``llm_arch_is_hybrid``, ``llm_arch_is_diffusion``
and ``llama_model_rope_type`` at commit 00395eb2); what is not here is left to the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.formats.gguf import GGUFHeader

EMBEDDING = "an embedding model, which generates no text"

#: What a model is -> the architectures that are.
_KINDS: Mapping[str, str] = {
    EMBEDDING: "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3"
    " eurobert gemma-embedding",
    "an encoder, which generates no text": "t5encoder",
    "an encoder-decoder model": "t5",
    "a recurrent model": "mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7",
    "a model that is partly recurrent": "jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe"
    " nemotron_h nemotron_h_moe qwen3next kimi-linear qwen35 qwen35moe deepseek4",
    "a diffusion model": "dream llada llada-moe rnd1",
    "a model with several positions per token (M-RoPE)": "qwen2vl qwen3vl qwen3vlmoe paddleocr",
    "an audio decoder, which generates no text": "wavtokenizer-dec",
}
#: Architecture -> what a model of it is.
KINDS: Mapping[str, str] = {
    architecture: kind for kind, names in _KINDS.items() for architecture in names.split()
}


def other_than_decoder(header: GGUFHeader) -> str | None:
    """Return what a model is if it is no plain decoder, e.g. ``a recurrent model (mamba)``.

    ``None`` says that it may be one.
    """
    architecture = header.architecture
    if architecture is None:
        return None
    kind = KINDS.get(architecture)
    if kind is None and header.count(f"{architecture}.pooling_type"):
        kind = EMBEDDING
    if kind is None:
        return None
    what, comma, rest = kind.partition(",")
    return f"{what} ({architecture}){comma}{rest}"
