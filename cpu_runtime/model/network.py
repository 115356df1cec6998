"""The network: a Llama decoder laid out the way GGUF's ``llama`` architecture expects it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    vocabulary: int = 1536
    context: int = 512
    width: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 3
    feed_forward: int = 512
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding over neighbouring pairs (0,1), (2,3), ...

    This is the convention of GGUF's llama architecture, so that query and key weights are exported
    as they are, without the permutation that half-split implementations need.
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    """One decoder layer: grouped-query attention, then a gated feed-forward network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv_width = shape.width, shape.kv_heads * shape.head_width
        self.attn_norm = nn.RMSNorm(width, shape.norm_epsilon)
        self.ffn_norm = nn.RMSNorm(width, shape.norm_epsilon)
        self.attn_q = nn.Linear(width, width, bias=False)
        self.attn_k = nn.Linear(width, kv_width, bias=False)
        self.attn_v = nn.Linear(width, kv_width, bias=False)
        self.attn_output = nn.Linear(width, width, bias=False)
        self.ffn_gate = nn.Linear(width, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(width, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Apply the layer to ``x`` of shape (batch, positions, width)."""
        batch, length, width = x.shape
        split = (batch, length, -1, self.shape.head_width)
        h = self.attn_norm(x)
        q = rotate(self.attn_q(h).view(split).transpose(1, 2), cos, sin)
        k = rotate(self.attn_k(h).view(split).transpose(1, 2), cos, sin)
        v = self.attn_v(h).view(split).transpose(1, 2)
        group = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(attended.transpose(1, 2).reshape(batch, length, width))
        h = self.ffn_norm(x)
        result: Tensor = x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return result


class Llama(nn.Module):
    """The whole decoder.  The output matrix is the token embedding (tied)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        exponents = torch.arange(0, shape.head_width, 2) / shape.head_width
        angles = torch.arange(shape.context)[:, None] * shape.rope_base ** -exponents[None]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("attn_output.weight", "ffn_down.weight")):
                weight.data /= (2 * shape.layers) ** 0.5

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the normalised last hidden state for every position."""
        length = tokens.shape[1]
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, self.cos[:length], self.sin[:length])
        normalised: Tensor = self.output_norm(x)
        return normalised

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits for every position."""
        return functional.linear(self.hidden(tokens), self.token_embd.weight)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy where ``targets`` is not -1 (padding and what the user says)."""
        wanted = targets >= 0
        logits = functional.linear(self.hidden(tokens)[wanted], self.token_embd.weight)
        return functional.cross_entropy(logits, targets[wanted])

    @torch.no_grad()
    def greedy(self, tokens: list[int], stop: int, limit: int = 120) -> list[int]:
        """Continue ``tokens`` with the likeliest token until ``stop``."""
        made: list[int] = []
        while len(made) < limit and len(tokens) + len(made) < self.shape.context:
            best = int(self(torch.tensor([tokens + made]))[0, -1].argmax())
            if best == stop:
                return made
            made.append(best)
        return made
