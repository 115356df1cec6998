"""Documents as token sequences, and the batches the training draws from them."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import tokenizer
import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

Sample = tuple[list[int], list[int]]  # input tokens, targets (-1: not learned)

# Share of each kind in what is read, counted in tokens.
MIX = {"prose": 0.36, "entry": 0.2, "core": 0.24, "memory": 0.14, "given": 0.04, "talk": 0.02}


def encode_turns(processor: SentencePieceProcessor, turns: list[tuple[str, str]]) -> Sample:
    """Encode a dialogue; only what the assistant says is learned, its end included."""
    tokens, learned = [tokenizer.BOS], [False]
    for role, text in turns:
        body = [*processor.encode(text), tokenizer.END]
        tokens += [tokenizer.ROLE[role], *body]
        learned += [False] + [role == "assistant"] * len(body)
    targets = [token if yes else -1 for token, yes in zip(tokens, learned, strict=True)]
    return tokens[:-1], targets[1:]


def prompt(processor: SentencePieceProcessor, turns: list[tuple[str, str]]) -> list[int]:
    """Encode a dialogue up to the point where the assistant is to answer."""
    tokens, _ = encode_turns(processor, [*turns, ("assistant", "")])
    return tokens


def load(path: Path, processor: SentencePieceProcessor, context: int) -> dict[str, list[Sample]]:
    """Read documents, grouped by kind, cut to the context length."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    with path.open() as file:
        for document in map(json.loads, file):
            if "text" in document:
                tokens = [tokenizer.BOS, *processor.encode(document["text"]), tokenizer.EOS]
                inputs, targets = tokens[:-1], tokens[1:]
            else:
                inputs, targets = encode_turns(processor, document["turns"])
            if any(target >= 0 for target in targets[:context]):
                samples[document["kind"]].append((inputs[:context], targets[:context]))
    return samples


def pad(samples: list[Sample]) -> tuple[Tensor, Tensor]:
    """Stack samples, padded at the end, where a causal network cannot see the padding."""
    longest = max(len(inputs) for inputs, _ in samples)
    tokens = torch.zeros(len(samples), longest, dtype=torch.long)
    targets = torch.full((len(samples), longest), -1)
    for row, (inputs, wanted) in enumerate(samples):
        tokens[row, : len(inputs)] = torch.tensor(inputs)
        targets[row, : len(wanted)] = torch.tensor(wanted)
    return tokens, targets


def group(samples: list[Sample], size: int) -> list[list[Sample]]:
    """Cut samples into batches of about ``size`` padded tokens, similar lengths together."""
    batches: list[list[Sample]] = []
    batch: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: len(sample[0])):
        if batch and (len(batch) + 1) * len(sample[0]) > size:
            batches.append(batch)
            batch = []
        batch.append(sample)
    return [*batches, batch]


def batches(samples: dict[str, list[Sample]], size: int, seed: int) -> Iterator[list[Sample]]:
    """Yield batches for ever in the proportions of ``MIX``, without repeats within an epoch."""
    rng = random.Random(seed)
    queues: dict[str, list[Sample]] = {kind: [] for kind in MIX}
    while True:
        pool: list[Sample] = []
        for kind, share in MIX.items():
            room = 48 * size * share
            while room > 0:
                if not queues[kind]:
                    queues[kind] = rng.sample(samples[kind], len(samples[kind]))
                pool.append(queues[kind].pop())
                room -= len(pool[-1][0])
        ready = group(pool, size)
        rng.shuffle(ready)
        yield from ready
