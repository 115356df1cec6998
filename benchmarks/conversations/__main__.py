"""How soon a conversation is answered: ``python -m benchmarks.conversations`` prints tables.

One conversation, and several whose turns alternate, on the bundled model; and on SmolLM2 beside
llama.cpp's own server, with the same threads, if that model and both libraries are installed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.conversations.contenders import BESIDE_PEER, beside_peer, with_and_without
from benchmarks.conversations.measure import Case, Contender, Result, measure
from benchmarks.conversations.report import CLEARED, OURS, Comparison, ratios, read_again, times
from benchmarks.conversations.texts import PLACES, PYTHON, Exchange, Talk
from benchmarks.model_servers import NO_PEER, has_peer
from benchmarks.tables import loads, machine
from rkllm_twisted.cpu import demo_model, libllama
from rkllm_twisted.cpu.packages import MODELS, cache_folder

TURNS = (1, 5, 20)
#: How many conversations alternate -> how often that is measured; and with SmolLM2, which is slow.
ROUNDS = {1: 6, 2: 3, 8: 1}
SLOW_ROUNDS = {1: 2, 2: 1, 8: 1}


def main() -> int:
    """Measure, and print the tables; the exit code."""
    options = arguments().parse_args()
    load = os.getloadavg()[0]
    once = dict.fromkeys(ROUNDS, 1) if options.quick else None
    cases = [Case(count, turn) for turn in options.turns for count in options.conversations]
    print("## The bundled model\n")
    with with_and_without(demo_model(), "cpu", 1, context=512) as contenders:
        show(measured(contenders, cases, PYTHON, once or ROUNDS), [Comparison(OURS, CLEARED)])
    if (reason := cannot_compare(options)) is not None:
        print(f"\nNot measured beside llama.cpp's server: {reason}")
    else:
        print("\n## SmolLM2\n")
        with beside_peer(options.model, options.threads, options.peer_python) as contenders:
            show(measured(contenders, cases, PLACES, once or SLOW_ROUNDS), BESIDE_PEER)
    print(f"\n{machine()}, {options.threads} threads, {loads(load)}.")
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    known = MODELS["smollm2"]
    parser.add_argument("--model", type=Path, default=cache_folder() / Path(known.member).name)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with xllamacpp")
    parser.add_argument("--turns", type=int, nargs="+", default=TURNS)
    parser.add_argument("--conversations", type=int, nargs="+", default=ROUNDS, choices=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="once each: see whether it runs")
    return parser


def cannot_compare(options: argparse.Namespace) -> str | None:
    """Return what keeps the daemon from being compared; None if nothing does."""
    if not options.model.is_file() or libllama.find(os.environ) is None:
        return "the model and llama.cpp's library come with: rkllm demo --model smollm2."
    return None if has_peer(options.peer_python) else NO_PEER


def measured(
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    exchanges: Sequence[Exchange],
    rounds: Mapping[int, int],
) -> list[Result]:
    """Measure all cases, after a first question that counts nowhere."""
    for contender in contenders:
        contender.ask(Talk(exchanges).until(1))
    results = []
    for case in cases:
        results.append(measure(contenders, case, exchanges, rounds[case.conversations]))
        print(times(results[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return results


def show(results: Sequence[Result], comparisons: Sequence[Comparison]) -> None:
    """Print the tables of a model."""
    print(f"{times(results)}\n\n{ratios(results, comparisons)}\n\n{read_again(results)}")


if __name__ == "__main__":
    sys.exit(main())
