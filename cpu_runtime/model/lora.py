"""Train a small LoRA adapter with an effect that cannot be missed, and write it as GGUF.

With the adapter every answer starts with "Arr,": good for seeing that an adapter is in use.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import data
import gguf
import tokenizer
import torch
from network import Llama, Shape
from torch import Tensor, nn

RANK, ALPHA = 4, 8.0
TARGETS = ("attn_q", "attn_v", "attn_output", "ffn_down")
PREFIX = "Arr, "  # its space is a token of its own, so the answer after it stays as it was


class Adapted(nn.Module):
    """A frozen linear layer plus ``alpha / rank * B A``."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.lora_a = nn.Parameter(torch.randn(RANK, inner.in_features) / inner.in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(inner.out_features, RANK))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        result: Tensor = self.inner(x) + ALPHA / RANK * (x @ self.lora_a.T @ self.lora_b.T)
        return result


def adapt(model: Llama) -> list[nn.Parameter]:
    """Freeze the model, put adapters into it and return what is to be trained."""
    model.requires_grad_(requires_grad=False)
    trained: list[nn.Parameter] = []
    for block in model.blk:
        for name in TARGETS:
            layer = Adapted(getattr(block, name))
            setattr(block, name, layer)
            trained += [layer.lora_a, layer.lora_b]
    return trained


def with_prefix(sample: data.Sample, prefix: list[int]) -> data.Sample:
    """Insert the prefix at the start of every answer."""
    inputs, targets = sample
    tokens, learned = [inputs[0]], [False]
    for number, target, before in zip(inputs[1:], targets, inputs, strict=False):
        if before == tokenizer.ROLE["assistant"]:
            tokens += prefix
            learned += [True] * len(prefix)
        tokens.append(number)
        learned.append(target >= 0)
    tokens.append(max(targets[-1], tokenizer.UNKNOWN))
    learned.append(targets[-1] >= 0)
    wanted = [token if yes else -1 for token, yes in zip(tokens, learned, strict=True)]
    return tokens[:-1], wanted[1:]


def export(model: Llama, output: Path) -> None:
    """Write the adapter with the names and keys that llama.cpp reads."""
    writer = gguf.GGUFWriter(output, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, ALPHA)
    writer.add_name("tiny-pydocs-arr")
    writer.add_license("PSF-2.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, weight in model.state_dict().items():
        if name.endswith(("lora_a", "lora_b")):
            layer, part = name.rsplit(".", 1)
            writer.add_tensor(f"{layer}.weight.{part}", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{output.name}: {output.stat().st_size} bytes")


def main() -> None:
    """Train for a minute or two and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).parent / "build")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    model = Llama(Shape(vocabulary=tokenizer.VOCABULARY))
    model.load_state_dict(torch.load(options.build / "checkpoint.pt", weights_only=True))
    trained = adapt(model)
    processor = tokenizer.load(options.build / "tokenizer.model")
    samples = data.load(options.build / "train.jsonl", processor, model.shape.context - 32)
    samples["prose"] = samples["core"]
    prefix = processor.encode(PREFIX)
    optimizer = torch.optim.AdamW(trained, 1e-2, weight_decay=0.0)
    start, recent = time.monotonic(), 0.0
    for step, batch in enumerate(data.batches(samples, 2048, seed=7)):
        tokens, targets = data.pad([with_prefix(sample, prefix) for sample in batch])
        loss = model.loss(tokens, targets)
        torch.autograd.backward(loss)
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / options.steps)
        optimizer.step()
        optimizer.zero_grad()
        recent += loss.item() / 20
        if (step + 1) % 20 == 0:
            print(f"step {step + 1} loss {recent:.3f} elapsed {time.monotonic() - start:.0f} s")
            recent = 0.0
        if step + 1 == options.steps:
            break
    export(model, options.output)


if __name__ == "__main__":
    main()
