"""Train the SentencePiece BPE tokenizer on the corpus."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

import sentencepiece as spm

VOCABULARY = 1536
UNKNOWN, BOS, EOS, END = 0, 1, 2, 7
CONTROL = ["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>"]
ROLE = {"system": 3, "user": 4, "assistant": 5, "tool": 6}


def _lines(path: Path) -> Iterator[str]:
    """Sample the corpus: all prose, and few enough dialogues not to drown it."""
    rng = random.Random(5)
    with path.open() as file:
        for document in map(json.loads, file):
            if "text" in document:
                yield from document["text"].split("\n")
            elif rng.random() < (1.0 if document["kind"] == "entry" else 0.05):
                yield from (text for _, text in document["turns"])


def train(corpus: Path, prefix: Path) -> None:
    """Write ``prefix.model``.

    No space is put before text and white space is kept as it is, so that decoding gives back
    exactly what was encoded; numbers are split into digits because they are then copied easily.
    """
    spm.SentencePieceTrainer.train(
        sentence_iterator=_lines(corpus),
        model_prefix=str(prefix),
        model_type="bpe",
        vocab_size=VOCABULARY,
        byte_fallback=True,
        control_symbols=CONTROL,
        unk_id=UNKNOWN,
        bos_id=BOS,
        eos_id=EOS,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        split_digits=True,
        character_coverage=0.9999,
        minloglevel=1,
    )


def load(path: Path) -> spm.SentencePieceProcessor:
    """Open a trained tokenizer and check that the control tokens are where they must be."""
    processor = spm.SentencePieceProcessor(model_file=str(path))
    for number, piece in enumerate(CONTROL, start=3):
        if processor.piece_to_id(piece) != number:
            raise ValueError(f"{piece} is not token {number}")
    return processor


def main() -> None:
    """Train and print the number of characters per token on held-out prose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).parent / "build")
    build: Path = parser.parse_args().build
    train(build / "train.jsonl", build / "tokenizer")
    processor = load(build / "tokenizer.model")
    with (build / "heldout.jsonl").open() as file:
        texts = [document["text"] for document in map(json.loads, file) if "text" in document]
    tokens = sum(len(processor.encode(text)) for text in texts)
    characters = sum(map(len, texts))
    print(f"{characters / tokens:.2f} characters per token on held-out prose")


if __name__ == "__main__":
    main()
