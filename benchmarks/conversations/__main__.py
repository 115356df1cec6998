"""How soon a conversation is answered: ``python -m benchmarks.conversations`` prints tables.

One conversation, and several whose turns alternate, on the bundled model; and on SmolLM2 beside
llama.cpp's own server, with the same threads, if that model and both libraries are installed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.conversations.measure import Case, Contender, Result, measure
from benchmarks.conversations.report import CLEARED, MOST, OURS, ratios, read_again, times
from benchmarks.conversations.servers import CONTEXT, GREEDY, daemon_asker, peer_asker
from benchmarks.conversations.texts import PLACES, PYTHON, Exchange, Talk
from benchmarks.model_servers import NO_PEER, daemon, has_peer, llama_server
from benchmarks.tables import loads, machine
from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import demo_model, libllama
from rkllm_twisted.cpu.packages import MODELS, cache_folder

TURNS = (1, 5, 20)
#: How many conversations alternate -> how often that is measured.
ROUNDS = {1: 5, 2: 3, 8: 1}
#: llama.cpp's server: with as much memory as the daemon has, one cache for all, and as it is by
#: default.
SAME_MEMORY, BY_DEFAULT = "llama-server, 1 slot", "llama-server by default, 4 slots"


def main() -> int:
    """Measure, and print the tables; the exit code."""
    options = arguments().parse_args()
    load = os.getloadavg()[0]
    rounds = dict.fromkeys(ROUNDS, 1) if options.quick else ROUNDS
    cases = [Case(count, turn) for turn in options.turns for count in options.conversations]
    print("## The bundled model\n")
    with daemon(demo_model(), "cpu", 1, max_context_len=512, **GREEDY) as (client, _):
        show(measured(with_and_without(client), cases, PYTHON, rounds), {})
    if (reason := cannot_compare(options)) is not None:
        print(f"\nNot measured beside llama.cpp's server: {reason}")
    else:
        print("\n## SmolLM2\n")
        with beside_peer(options.model, options.threads, options.peer_python) as contenders:
            show(measured(contenders, cases, PLACES, rounds), {SAME_MEMORY: MOST, BY_DEFAULT: MOST})
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


def with_and_without(client: Client) -> list[Contender]:
    """Return a daemon as it is, and with a cache that holds nothing that it knows."""
    ask = daemon_asker(client)
    return [
        Contender(OURS, ask),
        Contender(CLEARED, ask, partial(client.clear_kv_cache, keep_system_prompt=False)),
    ]


@contextmanager
def beside_peer(model: Path, threads: int, python: str) -> Iterator[list[Contender]]:
    """Start a daemon and llama.cpp's server, twice."""
    with ExitStack() as stack:
        start = stack.enter_context
        client, _ = start(daemon(model, "llama", threads, max_context_len=CONTEXT, **GREEDY))
        contenders = with_and_without(client)
        for name, context, kept in (
            (SAME_MEMORY, CONTEXT, (1, 0)),
            (BY_DEFAULT, 4 * CONTEXT, (4,)),
        ):
            peer = start(llama_server(model, threads, context, *kept, python=python))
            contenders.append(Contender(name, peer_asker(peer.address)))
        print(f"The peer's build: {peer.build}\n", file=sys.stderr)
        yield contenders


def measured(
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    exchanges: Sequence[Exchange],
    rounds: dict[int, int],
) -> list[Result]:
    """Measure all cases, after a first question that counts nowhere."""
    for contender in contenders:
        contender.ask(Talk(exchanges).until(1))
    return [measure(contenders, case, exchanges, rounds[case.conversations]) for case in cases]


def show(results: Sequence[Result], targets: dict[str, float]) -> None:
    """Print the tables of a model."""
    print(f"{times(results)}\n\n{ratios(results, targets)}\n\n{read_again(results)}")


if __name__ == "__main__":
    sys.exit(main())
