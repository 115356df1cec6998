"""The cost of a separate runtime process in memory, and for big arrays that pass through it."""

from __future__ import annotations

import base64
import time
from array import array
from typing import Any

from benchmarks.isolation.daemons import MODES, WIDTH, Daemon, daemon
from benchmarks.processes import is_gone, processor_time, wait_for
from benchmarks.tables import Row, percentile, row
from rkllm_twisted.cpu import demo_model

MIB = 2**20

EMBED_INPUT, LOGITS = 2, 2


def memory() -> list[Row]:
    """Measure the memory of daemon and child without a model, during a run, and afterwards."""
    rows = []
    for mode in MODES:
        with daemon(mode) as running:
            held = [running.memory()]
            old = running.children()
            client = running.load(demo_model())
            question = {"role": "user", "prompt_input": "What is a list?"}
            client.ask("rkllm.run", {"rkllm_input": question})
            held.append(running.memory())
            client.ask("rkllm.destroy")
            wait_for(lambda: is_gone(old[0]) if old else True)  # noqa: B023
            running.settle()
            held.append(running.memory())
            client.close()
        left = (held[2] - held[0]) / (held[1] - held[0])
        figures = " / ".join(f"{each / MIB:.1f}" for each in held)
        measured = f"{figures} MiB; {100 * left:.0f} % of the growth are left"
        what = f"memory before init, after a run of the bundled model, after destroy, {mode}"
        rows.append(row(what, measured, "", True))
    return rows


def crossing(both: dict[str, Daemon], times: int, tokens: int) -> list[Row]:
    """Measure the transfer time of an embedding to C and of logits back."""
    block = array("f", [number / 257 for number in range(WIDTH)]).tobytes() * tokens
    packed = {
        "base64": base64.b64encode(block).decode(),
        "dtype": "<f4",
        "shape": [tokens, WIDTH],
    }
    embed = {"input_type": EMBED_INPUT, "embed_input": {"embed": packed, "n_tokens": tokens}}
    ways: dict[str, dict[str, Any]] = {
        f"{tokens * WIDTH:,} floats to C": {"rkllm_input": embed},
        "as many logits back": {
            "rkllm_input": {"prompt_input": "x"},
            "rkllm_infer_params": {"mode": LOGITS},
        },
    }
    rows = []
    for what, params in ways.items():
        for mode, running in both.items():
            client = running.connect()
            client.ask("server.configure", {"floats": "base64"})
            pids = [running.process.pid, *running.children()]
            spent: list[list[float]] = []
            for _ in range(times + 1):
                before = [*map(processor_time, pids), time.monotonic()]
                client.ask("rkllm.run", params)
                after = [*map(processor_time, pids), time.monotonic()]
                spent.append([b - a for a, b in zip(before, after, strict=True)])
            client.close()
            medians = [1000 * percentile(list(each), 0.5) for each in zip(*spent[1:], strict=True)]
            in_child = f", child {medians[1]:.0f}" if mode == "process" else ""
            measured = f"daemon {medians[0]:.0f}{in_child}; in all {medians[-1]:.0f} ms"
            rows.append(row(f"{what}, {mode}: processor time", measured, "", True))
    return rows
