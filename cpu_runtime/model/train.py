"""Train the network on two CPU cores and write a checkpoint and a log."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import data
import tokenizer
import torch
from network import Llama, Shape
from torch import Tensor

SEED = 20
BATCH = 4096  # padded tokens per step
MATRIX_RATE, OTHER_RATE = 0.02, 3e-3
QUESTIONS = [
    [("user", "What is a module?")],
    [("user", "What does len do?")],
    [("user", "Who are you?")],
    [("user", "My name is Anna."), ("assistant", "Hello Anna."), ("user", "What is my name?")],
    [("user", "What is my name?")],
]


class Muon(torch.optim.Optimizer):
    """Momentum whose update is replaced by the nearest matrix with equal singular values.

    Used for the weight matrices inside the layers, because it needs far fewer steps than Adam and
    steps are what two cores cannot give.  The iteration is Newton-Schulz with quintic polynomials
    (Jordan et al., 2024).
    """

    def __init__(self, weights: Sequence[Tensor], rate: float) -> None:
        super().__init__(weights, {"lr": rate, "momentum": 0.95})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all matrices, those of one size together."""
        for group in self.param_groups:
            sizes: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                sizes.setdefault(weight.shape, []).append(weight)
            for size, weights in sizes.items():
                updates = []
                for weight in weights:
                    state = self.state[weight]
                    if not state:
                        state["momentum"] = torch.zeros_like(weight)
                    gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
                    momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    updates.append(gradient.lerp(momentum, group["momentum"]))
                scale = group["lr"] * max(1.0, size[0] / size[1]) ** 0.5
                for weight, update in zip(weights, _balance(torch.stack(updates)), strict=True):
                    weight.mul_(1 - 0.05 * group["lr"]).add_(update, alpha=-scale)


def _balance(x: Tensor) -> Tensor:
    """Bring the singular values of a stack of matrices close to one."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


def rate_at(step: int, steps: int) -> float:
    """Learning rate factor: short warm-up, level, then linear decay over the last 60 %."""
    return min(1.0, (step + 1) / 50, (steps - step) / (0.6 * steps))


@torch.no_grad()
def held_out_loss(model: Llama, samples: list[data.Sample]) -> float:
    """Mean loss per learned token."""
    total, count = 0.0, 0
    for batch in data.group(samples, BATCH):
        tokens, targets = data.pad(batch)
        number = int((targets >= 0).sum())
        total += float(model.loss(tokens, targets)) * number
        count += number
    return total / count


def main() -> None:
    """Train; the log has one line every 50 steps and held-out losses every 250."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).parent
    parser.add_argument("--build", type=Path, default=here / "build")
    parser.add_argument("--log", type=Path, default=here / "training.log")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    shape = Shape(vocabulary=tokenizer.VOCABULARY)
    processor = tokenizer.load(options.build / "tokenizer.model")
    samples = data.load(options.build / "train.jsonl", processor, shape.context)
    held_out = data.load(options.build / "heldout.jsonl", processor, shape.context)
    model = Llama(shape)
    matrices = [weight for weight in model.blk.parameters() if weight.ndim == 2]
    norms = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizers: list[torch.optim.Optimizer] = [
        Muon(matrices, MATRIX_RATE),
        torch.optim.AdamW([model.token_embd.weight, *norms], OTHER_RATE, (0.9, 0.98), fused=True,
                          weight_decay=0.0),
    ]  # fmt: skip
    base = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    log = options.log.open("w", buffering=1)

    def say(text: str) -> None:
        print(text, flush=True)
        log.write(text + "\n")

    counts = {kind: sum(len(inputs) for inputs, _ in samples[kind]) for kind in data.MIX}
    say(f"parameters {sum(weight.numel() for weight in model.parameters())}")
    say("tokens in the corpus " + " ".join(f"{kind} {n}" for kind, n in counts.items()))
    start, seen, recent = time.monotonic(), 0, 0.0
    feed = data.batches(samples, BATCH, SEED)
    for step in range(options.steps):
        tokens, targets = data.pad(next(feed))
        loss = model.loss(tokens, targets)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_([model.token_embd.weight, *norms], 1.0)
        for optimizer, rate in zip(optimizers, base, strict=True):
            optimizer.param_groups[0]["lr"] = rate * rate_at(step, options.steps)
            optimizer.step()
            optimizer.zero_grad()
        seen += tokens.numel()
        recent += loss.item() / 50
        if (step + 1) % 50 == 0:
            elapsed = time.monotonic() - start
            line = f"step {step + 1} loss {recent:.3f} tokens/s {seen / elapsed:.0f}"
            recent = 0.0
            if (step + 1) % 250 == 0 or step + 1 == options.steps:
                losses = {kind: held_out_loss(model, held_out[kind]) for kind in held_out}
                line += " held-out " + " ".join(f"{k} {v:.3f}" for k, v in losses.items())
                torch.save(model.state_dict(), options.build / "checkpoint.pt")
            say(f"{line} elapsed {time.monotonic() - start:.0f} s")
    say(f"finished: {seen} tokens in {time.monotonic() - start:.0f} s")
    for turns in QUESTIONS:
        made = model.greedy(data.prompt(processor, turns), tokenizer.END)
        say(f"{turns[-1][1]} -> {processor.decode(made)}")


if __name__ == "__main__":
    main()
