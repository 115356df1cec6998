"""Make a GGUF model of a few kilobytes with random weights, or a LoRA adapter for it.

It says nothing sensible, but has all that a real one has: heads that share keys, byte tokens,
control tokens, a user-defined token, a chat template. The same options give the same bytes.

    python make_tiny_gguf.py model.gguf --type q8_0 --layers 2 --seed 1
    python make_tiny_gguf.py adapter.gguf --adapter --rank 3
"""

import argparse
import random
import struct
from pathlib import Path

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TYPES = {"f32": 0, "f16": 1, "q8_0": 8}
ALIGNMENT = 32
EMBD, HEADS, KV_HEADS, FF, CONTEXT = 32, 4, 2, 64, 128
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

WORDS = [
    "\u2581", "a", "b", "c", "d", "e", "n", "o", "r", "s", "t", "\u00e9", "\u2581a", "an", "es",
    "\u2581an", "\u2581and", "nd", "te", "to", "\u2581to", "st", "est", "\u2581te", "\u2581test",
    "on", "\u2581on", "\u2581one", "\u2581b", "\u2581bo", "at", "\u2581bat",
]  # fmt: skip


def vocabulary():
    """Texts, scores and kinds, one of each per token."""
    rows = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    rows += [("<|user|>", 0.0, CONTROL), ("<|assistant|>", 0.0, CONTROL), ("<|end|>", 0.0, CONTROL)]
    rows += [("[pad here]", 0.0, USER_DEFINED)]
    rows += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    # As SentencePiece does it: merges in the order in which they were learnt, then characters.
    merges = [word for word in WORDS if len(word) > 1]
    rows += [(word, -float(rank), NORMAL) for rank, word in enumerate(merges)]
    letters = [word for word in WORDS if len(word) == 1]
    rows += [(word, -float(len(merges) + rank), NORMAL) for rank, word in enumerate(letters)]
    return [list(column) for column in zip(*rows, strict=True)]


def string(text):
    """A text with its length before it."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


SCALARS = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def value(kind, item):
    """One value, without its type."""
    return string(item) if kind == STRING else struct.pack(SCALARS[kind], item)


def key(name, kind, item):
    """A key with one value."""
    return string(name) + struct.pack("<I", kind) + value(kind, item)


def array(name, kind, items):
    """A key with an array."""
    head = string(name) + struct.pack("<IIQ", ARRAY, kind, len(items))
    return head + b"".join(value(kind, item) for item in items)


def model_keys(layers, space_prefix, template=None):
    """The model's metadata, in order."""
    texts, scores, kinds = vocabulary()
    keys = [key("general.architecture", STRING, "llama"), key("general.name", STRING, "random")]
    sizes = {
        "context_length": CONTEXT, "embedding_length": EMBD, "block_count": layers,
        "feed_forward_length": FF, "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS, "rope.dimension_count": EMBD // HEADS,
        "vocab_size": len(texts),
    }  # fmt: skip
    keys += [key(f"llama.{name}", U32, size) for name, size in sizes.items()]
    keys += [key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)]
    keys += [key("llama.rope.freq_base", F32, 10000.0)]
    keys += [key("tokenizer.ggml.model", STRING, "llama")]
    keys += [array("tokenizer.ggml.tokens", STRING, texts)]
    keys += [array("tokenizer.ggml.scores", F32, scores)]
    keys += [array("tokenizer.ggml.token_type", I32, kinds)]
    ids = {"bos": 1, "eos": 2, "eot": 5, "unknown": 0}
    keys += [key(f"tokenizer.ggml.{name}_token_id", U32, token) for name, token in ids.items()]
    keys += [key("tokenizer.ggml.add_bos_token", BOOL, True)]
    keys += [key("tokenizer.ggml.add_space_prefix", BOOL, space_prefix)]
    if template:
        return [*keys, key("tokenizer.chat_template", STRING, template)]
    keys += [key("rkllm.prompt_prefix", STRING, "<|user|>")]
    keys += [key("rkllm.prompt_postfix", STRING, "<|end|><|assistant|>")]
    return keys


def shapes(layers):
    """Every matrix of the model: name, inputs, outputs."""
    kv = EMBD // HEADS * KV_HEADS
    found = []
    for layer in range(layers):
        for name, n_in, n_out in (
            ("attn_q", EMBD, EMBD), ("attn_k", EMBD, kv), ("attn_v", EMBD, kv),
            ("attn_output", EMBD, EMBD), ("ffn_gate", EMBD, FF), ("ffn_up", EMBD, FF),
            ("ffn_down", FF, EMBD),
        ):  # fmt: skip
            found.append((f"blk.{layer}.{name}.weight", n_in, n_out))
    return found


def q8_0(values):
    """Blocks of 32: a half-precision scale, then signed bytes."""
    data = b""
    for start in range(0, len(values), 32):
        block = values[start : start + 32]
        scale = max(abs(v) for v in block) / 127 or 1.0
        data += struct.pack("<e32b", scale, *(round(v / scale) for v in block))
    return data


def encode(kind, values):
    """Values as the tensor type has them."""
    if kind == "q8_0":
        return q8_0(values)
    return struct.pack(f"<{len(values)}{'e' if kind == 'f16' else 'f'}", *values)


def matrix(rng, name, n_in, n_out, kind):
    """A matrix of random values, scaled so that sums stay near 1."""
    spread = 3.0 / n_in**0.5
    values = [rng.uniform(-spread, spread) for _ in range(n_in * n_out)]
    return name, (n_in, n_out), TYPES[kind], encode(kind, values)


def norm(rng, name):
    """A norm: random weights about 1, always F32."""
    values = [rng.uniform(0.5, 1.5) for _ in range(EMBD)]
    return name, (EMBD,), TYPES["f32"], encode("f32", values)


def model_tensors(rng, layers, kind, untied):
    """All of a model: name, dimensions, type and bytes."""
    n_vocab = len(vocabulary()[0])
    tensors = [matrix(rng, "token_embd.weight", EMBD, n_vocab, kind)]
    tensors += [norm(rng, "output_norm.weight")]
    for layer in range(layers):
        tensors += [norm(rng, f"blk.{layer}.{name}_norm.weight") for name in ("attn", "ffn")]
    tensors += [matrix(rng, *shape, kind) for shape in shapes(layers)]
    if untied:
        tensors += [matrix(rng, "output.weight", EMBD, n_vocab, kind)]
    return tensors


def adapter_tensors(rng, layers, rank):
    """A pair for each of the layers' matrices."""
    tensors = []
    for name, n_in, n_out in shapes(layers):
        tensors += [matrix(rng, f"{name}.lora_a", n_in, rank, "f32")]
        tensors += [matrix(rng, f"{name}.lora_b", rank, n_out, "f32")]
    return tensors


def adapter_keys(alpha):
    """The adapter's metadata."""
    return [
        key("general.architecture", STRING, "llama"),
        key("general.type", STRING, "adapter"),
        key("adapter.type", STRING, "lora"),
        key("adapter.lora.alpha", F32, alpha),
    ]


def padded(data):
    """Fill up to the alignment."""
    return data + b"\0" * (-len(data) % ALIGNMENT)


def gguf(keys, tensors):
    """The bytes of a GGUF file, version 3."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys)
    data = b""
    for name, dims, kind, values in tensors:
        head += string(name) + struct.pack("<I", len(dims))
        head += struct.pack(f"<{len(dims)}QIQ", *dims, kind, len(data))
        data += padded(values)
    return padded(head) + data


def make_model(kind="f32", layers=2, seed=0, untied=False, space_prefix=True, template=None):
    """The bytes of a model."""
    tensors = model_tensors(random.Random(seed), layers, kind, untied)
    return gguf(model_keys(layers, space_prefix, template), tensors)


def make_adapter(layers=2, seed=0, rank=3, alpha=6.0):
    """The bytes of an adapter for a model with as many layers."""
    return gguf(adapter_keys(alpha), adapter_tensors(random.Random(seed), layers, rank))


def main():
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--type", choices=TYPES, default="f32")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--untied", action="store_true", help="give it an output matrix of its own")
    parser.add_argument("--no-space-prefix", action="store_true")
    parser.add_argument("--template", help="a chat template, instead of rkllm.* keys")
    parser.add_argument("--adapter", action="store_true", help="a LoRA adapter instead of a model")
    parser.add_argument("--rank", type=int, default=3)
    options = parser.parse_args()
    if options.adapter:
        data = make_adapter(options.layers, options.seed, options.rank)
    else:
        data = make_model(
            options.type,
            options.layers,
            options.seed,
            options.untied,
            not options.no_space_prefix,
            options.template,
        )
    Path(options.path).write_bytes(data)


if __name__ == "__main__":
    main()
