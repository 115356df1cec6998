"""Hold the exported files to the trained network, and see what the model can do."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import data
import numpy as np
import tokenizer
import torch
import values
from network import Llama, Shape
from reference import Model

ODD = [
    "", " ", "   two  spaces ", "line\nbreak\n\n\tTab", "caf\u00e9 na\u00efve", "\u4f60\u597d",
    "\U0001f600!", "<|user|>", "<s>", "<0x41>", "\u2581", "x" * 50, "1234567890", "\u0000\u007f",
    "def f(x):\n    return x ** 2",
]  # fmt: skip
QUESTIONS = [
    "What is a module?", "What is a class?", "What is a generator?", "What does len do?",
    "What is the os module?", "Explain iterator.", "Who are you?", "Do you run on an NPU?",
    "What does shutil.copyfile do?", "What is a socket?", "How do I open a file?",
    "Write a poem about the sea.",
]  # fmt: skip
Turns = list[tuple[str, str]]


def same_tokens(model: Model, build: Path) -> None:
    """Compare the tokenizer read from GGUF with SentencePiece itself."""
    processor = tokenizer.load(build / "tokenizer.model")
    texts = list(ODD)
    with (build / "heldout.jsonl").open() as file:
        for document in map(json.loads, file):
            texts += [document["text"]] if "text" in document else [document["turns"][-1][1]]
    different = [text for text in texts if model.tokenizer.encode(text) != processor.encode(text)]
    print(f"tokenizer: {len(texts)} texts, {len(different)} differ from SentencePiece")


def same_logits(exported: Model, quantised: Model, build: Path) -> None:
    """Compare logits of the exports with the network's own, in double precision."""
    networks = {}
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)  # so that the rotation angles have it too
        networks[dtype] = Llama(Shape(vocabulary=tokenizer.VOCABULARY))
        networks[dtype].load_state_dict(torch.load(build / "checkpoint.pt", weights_only=True))
    samples = data.load(build / "heldout.jsonl", tokenizer.load(build / "tokenizer.model"), 512)
    worst = {"torch, single precision": 0.0, "torch, double precision": 0.0, "the q8_0 file": 0.0}
    agree = count = 0
    for kind in samples:
        for tokens, _ in sorted(samples[kind], key=lambda sample: -len(sample[0]))[:3]:
            ours = exported.logits(tokens)
            with torch.no_grad():
                single, double = (
                    network(torch.tensor([tokens]))[0].numpy() for network in networks.values()
                )
            small = quantised.logits(tokens)
            for name, other in zip(worst, (single, double, small), strict=True):
                worst[name] = max(worst[name], float(np.abs(ours - other).max()))
            agree += int((ours.argmax(-1) == small.argmax(-1)).sum())
            count += len(tokens)
    for name, difference in worst.items():
        print(f"logits of the f32 file: at most {difference:.2g} from {name}")
    print(f"q8_0 chooses the same token as f32 at {agree} of {count} positions")


def answer(model: Model, turns: Turns) -> tuple[str, bool]:
    """Greedy answer to the last turn, and whether it ended by itself."""
    ids = [model.tokenizer.bos]
    for role, text in turns:
        ids += [tokenizer.ROLE[role], *model.tokenizer.encode(text), tokenizer.END]
    return model.greedy([*ids, tokenizer.ROLE["assistant"]])


def memory(model: Model, number: int) -> None:
    """Tell names and ask for them, names that no training dialogue had among them."""
    question = [("user", "What is my name?")]
    between = [("user", "What is a class?")]
    between.append(("assistant", answer(model, between)[0]))
    known = [name for name in values.NAMES if name not in values.HELD_OUT_NAMES]
    for kind, names in (("trained", known[::12]), ("unseen", sorted(values.HELD_OUT_NAMES))):
        right = {"at once": 0, "after another question": 0}
        for name in names[:number]:
            told = [("user", f"My name is {name}."), ("assistant", f"Hello {name}.")]
            for way, turns in zip(right, (told + question, told + between + question), strict=True):
                right[way] += answer(model, turns) == (f"Your name is {name}.", True)
        for way, hits in right.items():
            print(f"{kind} names recalled {way}: {hits} of {len(names[:number])}")
    for turns in (question, between + question):
        print(f"never told, {len(turns)} turns: {answer(model, turns)[0]}")


def main() -> None:
    """Run all checks and print some answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).parent / "build")
    parser.add_argument("--lora", type=Path)
    options = parser.parse_args()
    build: Path = options.build
    exported, quantised = (Model(build / f"tiny-pydocs-{kind}.gguf") for kind in ("f32", "q8_0"))
    same_tokens(quantised, build)
    same_logits(exported, quantised, build)
    memory(quantised, 24)
    adapted = Model(build / "tiny-pydocs-q8_0.gguf", options.lora) if options.lora else None
    for question in QUESTIONS:
        for model in filter(None, (quantised, adapted)):
            text, ended = answer(model, [("user", question)])
            print(f"{question} -> {text}" + ("" if ended else " [cut]"))


if __name__ == "__main__":
    main()
