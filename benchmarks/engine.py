"""How fast the engine *tiny* computes: ``python -m benchmarks.engine LIBRARY [LIBRARY ...]``.

Each library, of one build of the embedded runtime, reads a prompt and generates an answer with the
bundled model, on one thread, in a process of its own and by turns with the others. The figures are
tokens per second of processor time, so that other programs matter less. The last column has the
ratio to the first library, turn by turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

from benchmarks.suite.ratios import in_turns
from benchmarks.tables import loads, machine, markdown
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

RELEASE = "1.3.0"
#: Tokens of an answer, and a prompt of some hundred tokens.
ANSWER, PROMPT = 400, "What is a module? " * 60
PARAM = {
    "top_k": 1,
    "max_context_len": 512,
    "max_new_tokens": ANSWER,
    "repeat_penalty": 1.0,
    "ignore_eos_token": True,
}


def _spent() -> float:
    usage = getrusage(RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _rate(runtime: Runtime, prompt: str, tokens: int, counted: str) -> float:
    """Make a run; return how many tokens of a kind it made in a second of processor time."""
    call = {
        "rkllm_input": {"role": "user", "prompt_input": prompt},
        "rkllm_infer_params": {"keep_history": 0, "max_new_tokens": tokens},
    }
    before = _spent()
    results: list[Any] = []
    runtime.perform(runtime.prepare("rkllm_run", call), results.extend)
    return float(results[-1]["perf"][counted]) / (_spent() - before)


def measure_here(library: str) -> Mapping[str, float]:
    """Measure a library in this process."""
    runtime = open_runtime(library, RELEASE, os.environ)
    model = {"model_path": str(demo_model()), **PARAM}
    runtime.perform(runtime.prepare("rkllm_init", [model]))
    _rate(runtime, "Hello", 1, "generate_tokens")  # the first run reads the model's file
    return {
        "generated": _rate(runtime, "What is a list?", ANSWER, "generate_tokens"),
        "read": _rate(runtime, PROMPT, 1, "prefill_tokens"),
    }


def measure(library: str) -> Mapping[str, float]:
    """Measure a library in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engine", "--here", library],
        env={**os.environ, "RKLLM_CPU_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure the libraries and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("libraries", nargs="+", metavar="LIBRARY")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    paths = [str(Path(library).resolve()) for library in options.libraries]
    if options.here:
        print(json.dumps(measure_here(paths[0])))
        return
    load = os.getloadavg()[0]
    found = in_turns({path: partial(measure, path) for path in paths}, options.turns)
    rows = []
    for figure, by_path in found.items():
        for path, values in by_path.items():
            ratios = [a / b for a, b in zip(values, by_path[paths[0]], strict=True)]
            spread = f"{median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"
            rows.append([figure, path, f"{median(values):,.0f}", spread])
    print(markdown(["tokens a second", "library", "median", "of the first"], rows))
    print(f"\n{machine()}, one thread, {options.turns} turns, {loads(load)}.")


if __name__ == "__main__":
    main()
