"""Write a checkpoint as GGUF."""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
import tokenizer
import torch
from network import Shape
from sentencepiece import SentencePieceProcessor

TYPES = {
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# What the runtime puts around each kind of turn; not part of GGUF's own vocabulary of keys.
AFFIXES = {
    "rkllm.prompt_prefix": "<|user|>",
    "rkllm.prompt_postfix": "<|end|><|assistant|>",
    "rkllm.system_prefix": "<|system|>",
    "rkllm.system_postfix": "<|end|>",
    "rkllm.tool_prefix": "<|tool|>",
    "rkllm.tool_postfix": "<|end|><|assistant|>",
}


def add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """Write the ``llama.*`` keys."""
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)


def add_tokenizer(writer: gguf.GGUFWriter, processor: SentencePieceProcessor) -> None:
    """Write the ``tokenizer.*`` keys."""
    tokens, scores, types = [], [], []
    for number in range(processor.get_piece_size()):
        tokens.append(processor.id_to_piece(number))
        scores.append(processor.get_score(number))
        if processor.is_unknown(number):
            types.append(gguf.TokenType.UNKNOWN)
        elif processor.is_control(number):
            types.append(gguf.TokenType.CONTROL)
        elif processor.is_byte(number):
            types.append(gguf.TokenType.BYTE)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(tokenizer.BOS)
    writer.add_eos_token_id(tokenizer.EOS)
    writer.add_eot_token_id(tokenizer.END)
    writer.add_unk_token_id(tokenizer.UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def export(checkpoint: Path, vocabulary: Path, output: Path, kind: str) -> None:
    """Write the model; one-dimensional weights stay F32.

    There is no ``output.weight``: a reader has to use ``token_embd.weight`` instead.
    """
    quantization, file_type = TYPES[kind]
    shape = Shape(vocabulary=tokenizer.VOCABULARY)
    output.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(output, "llama")
    writer.add_name("tiny-pydocs")
    writer.add_license("PSF-2.0")
    writer.add_description(
        "2.7M-parameter byte-fallback BPE Llama trained from scratch on the Python 3.11 "
        "documentation; for tests and demonstrations"
    )
    add_shape(writer, shape)
    writer.add_file_type(file_type)
    add_tokenizer(writer, tokenizer.load(vocabulary))
    for key, text in AFFIXES.items():
        writer.add_string(key, text)
    for name, weight in torch.load(checkpoint, weights_only=True).items():
        values = weight.numpy().astype(np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            raw = gguf.quants.quantize(values, quantization)
            writer.add_tensor(name, raw, raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{output.name}: {output.stat().st_size} bytes")


def main() -> None:
    """Export in the chosen format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).parent / "build")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--output", type=Path, help="default: build/tiny-pydocs-TYPE.gguf")
    options = parser.parse_args()
    output = options.output or options.build / f"tiny-pydocs-{options.type}.gguf"
    build: Path = options.build
    export(build / "checkpoint.pt", build / "tokenizer.model", output, options.type)


if __name__ == "__main__":
    main()
