"""A plain numpy Llama over a GGUF file, to hold other engines to.

It needs nothing but the file: weights, sizes and tokenizer all come from it.  Every position is
computed anew, in double precision, so that what differs elsewhere is the other engine's rounding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf_tokenizer import Tokenizer
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _rms(x: Array, weight: Array, epsilon: float) -> Array:
    scaled: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight
    return scaled


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    result: Array = e / e.sum(-1, keepdims=True)
    return result


class Model:
    """A llama-architecture GGUF, optionally with a LoRA adapter merged in."""

    def __init__(self, path: Path, lora: Path | None = None, scale: float = 1.0) -> None:
        reader = gguf.GGUFReader(path)
        self.fields = reader.fields
        self.tokenizer = Tokenizer(reader.fields)
        self.weights = _tensors(reader)
        if lora:
            self._merge(gguf.GGUFReader(lora), scale)
        self.layers, self.heads = self._key("block_count"), self._key("attention.head_count")
        self.kv_heads = self._key("attention.head_count_kv")
        self.epsilon = float(self.fields["llama.attention.layer_norm_rms_epsilon"].contents())
        self.rope_base = float(self.fields["llama.rope.freq_base"].contents())

    def _key(self, name: str) -> int:
        return int(self.fields[f"llama.{name}"].contents())

    def _merge(self, adapter: gguf.GGUFReader, scale: float) -> None:
        """Add ``scale * alpha / rank * B A`` to every adapted weight."""
        alpha = float(adapter.fields["adapter.lora.alpha"].contents())
        parts = _tensors(adapter)
        for name in [name for name in parts if name.endswith(".lora_a")]:
            a, b = parts[name], parts[name[:-1] + "b"]
            self.weights[name[: -len(".lora_a")]] += scale * alpha / len(a) * (b @ a)

    def _rotate(self, x: Array) -> Array:
        """Rotary embedding over neighbouring pairs; ``x`` is (positions, heads, head width)."""
        length, _, width = x.shape
        rate = self.rope_base ** (-np.arange(0, width, 2) / width)
        angle = np.arange(length)[:, None, None] * rate
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = np.empty_like(x)
        turned[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
        turned[..., 1::2] = even * np.sin(angle) + odd * np.cos(angle)
        return turned

    def _attend(self, h: Array, prefix: str) -> Array:
        length, weights = len(h), self.weights
        q = self._rotate((h @ weights[prefix + "attn_q.weight"].T).reshape(length, self.heads, -1))
        split = (length, self.kv_heads, -1)
        k = self._rotate((h @ weights[prefix + "attn_k.weight"].T).reshape(split))
        v = (h @ weights[prefix + "attn_v.weight"].T).reshape(split)
        # Query head n reads key/value head n // (heads per key/value head).
        k, v = (x.repeat(self.heads // self.kv_heads, axis=1) for x in (k, v))
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[-1])
        scores += np.triu(np.full((length, length), -np.inf), 1)
        mixed = np.einsum("hij,jhd->ihd", _softmax(scores), v).reshape(length, -1)
        attended: Array = mixed @ weights[prefix + "attn_output.weight"].T
        return attended

    def hidden(self, ids: list[int]) -> Array:
        """Last hidden state after the final norm, one row per token."""
        weights = self.weights
        x = weights["token_embd.weight"][ids]
        for layer in range(self.layers):
            prefix = f"blk.{layer}."
            norm = weights[prefix + "attn_norm.weight"]
            x = x + self._attend(_rms(x, norm, self.epsilon), prefix)
            h = _rms(x, weights[prefix + "ffn_norm.weight"], self.epsilon)
            gate = h @ weights[prefix + "ffn_gate.weight"].T
            up = h @ weights[prefix + "ffn_up.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[prefix + "ffn_down.weight"].T
        return _rms(x, weights["output_norm.weight"], self.epsilon)

    def logits(self, ids: list[int]) -> Array:
        """Logits, one row per token."""
        output = self.weights.get("output.weight", self.weights["token_embd.weight"])
        result: Array = self.hidden(ids) @ output.T
        return result

    def greedy(self, ids: list[int], limit: int = 100) -> tuple[str, bool]:
        """Continue with the likeliest tokens; returns the text and whether it ended by itself."""
        made: list[int] = []
        while len(made) < limit:
            best = int(self.logits(ids + made)[-1].argmax())
            if best in self.tokenizer.stops:
                return self.tokenizer.decode(made), True
            made.append(best)
        return self.tokenizer.decode(made), False


def _tensors(reader: gguf.GGUFReader) -> dict[str, Array]:
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        for tensor in reader.tensors
    }


def main() -> None:
    """Print token ids, logits or the greedy continuation as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--lora", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--ids", help="comma-separated token ids")
    source.add_argument("--text", help="text without control tokens")
    source.add_argument("--raw", help="text in which control tokens count")
    source.add_argument("--ask", help="a user's turn, put into the chat format")
    parser.add_argument("--logits", action="store_true", help="logits after the last token")
    options = parser.parse_args()
    model = Model(options.model, options.lora)
    if options.ids:
        ids = [int(number) for number in options.ids.split(",")]
    elif options.ask is not None:
        before, after = (
            model.fields[f"rkllm.prompt_{part}"].contents() for part in ("prefix", "postfix")
        )
        ids = [model.tokenizer.bos, *model.tokenizer.encode(before, special=True)]
        ids += model.tokenizer.encode(options.ask) + model.tokenizer.encode(after, special=True)
    else:
        special = options.raw is not None
        ids = [model.tokenizer.bos, *model.tokenizer.encode(options.raw or options.text, special)]
    if options.logits:
        print(json.dumps({"ids": ids, "logits": model.logits(ids)[-1].tolist()}))
    else:
        text, ended = model.greedy(ids)
        print(json.dumps({"ids": ids, "text": text, "ended": ended}, ensure_ascii=False))


if __name__ == "__main__":
    main()
