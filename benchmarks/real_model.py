"""A real model: the daemon beside llama.cpp's own server: ``python -m benchmarks.real_model``.

Both are asked over their sockets, by turns, with the same model, prompt, threads and greedy
sampling. A figure of one round is compared with the other's of the same round, because the machine
may be busy.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import attrs

from benchmarks.model_servers import NO_PEER, daemon, has_peer, llama_server
from benchmarks.processes import processor_times, spent_since
from benchmarks.tables import loads, machine, markdown
from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu.packages import MODELS, cache_folder

CONTEXT = 2048
#: Tokens of an answer, whether the model would end it earlier or not.
ANSWER = 64
WORDS = 100
PARAM = {
    "max_context_len": CONTEXT,
    "max_new_tokens": ANSWER,
    "top_k": 1,
    "repeat_penalty": 1.0,
    "ignore_eos_token": True,
}
#: As the model's own template has a turn.
TURN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@attrs.frozen
class Timing:
    """One answer.

    :param prompt: tokens that were read.
    :param first: seconds to the first token.
    :param rest: seconds from then to the last.
    :param tokens: of the answer.
    :param processor: seconds of the server's processes.
    """

    prompt: int
    first: float
    rest: float
    tokens: int
    processor: float

    @property
    def rates(self) -> Mapping[str, float]:
        """Figures of which more is better."""
        return {
            "reads a prompt, tokens/s": self.prompt / self.first,
            "generates, tokens/s": (self.tokens - 1) / self.rest,
            "both, tokens per second of processor time": (
                (self.prompt + self.tokens) / self.processor
            ),
        }


Ask = Callable[[str], Timing]


def ask_daemon(client: Client, pid: int, prompt: str) -> Timing:
    """Ask the daemon, which applies the template itself."""
    before, begun = processor_times(pid), time.perf_counter()
    times = []
    for result in client.run_async({"role": "user", "prompt_input": prompt}):
        times.append(time.perf_counter())
        perf = result.perf
    assert perf is not None
    spent = spent_since(before, pid)
    first, last = times[0] - begun, times[-1] - times[0]
    return Timing(perf.prefill_tokens, first, last, perf.generate_tokens, spent)


def ask_peer(address: str, pid: int, prompt: str) -> Timing:
    """Ask llama.cpp's server, with the same text and sampling."""
    body = {
        "prompt": TURN.format(prompt),
        "n_predict": ANSWER,
        "temperature": 0,
        "top_k": 1,
        "repeat_penalty": 1.0,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": True,
    }
    before, begun = processor_times(pid), time.perf_counter()
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/completion", json.dumps(body))
    times = []
    for line in connection.getresponse():
        if line.startswith(b"data: "):
            times.append(time.perf_counter())
            last = json.loads(line[6:])
    spent = spent_since(before, pid)
    connection.close()
    timings = last["timings"]
    first, rest = times[0] - begun, times[-1] - times[0]
    return Timing(timings["prompt_n"], first, rest, timings["predicted_n"], spent)


def compare(ours: Ask, theirs: Ask, rounds: int) -> Iterator[tuple[str, str, str, str]]:
    """Ask both by turns; yield a row for each figure."""
    pairs = []
    for number in range(rounds + 1):
        prompt = f"Text {number}. " + "The quick brown fox jumps over the lazy dog. " * (WORDS // 9)
        order = (theirs, ours) if number % 2 else (ours, theirs)
        answers = {ask: ask(prompt) for ask in order}
        if number:  # the first round warms both up
            pairs.append((answers[ours].rates, answers[theirs].rates))
    yield (
        "prompt and answer, tokens",
        *(f"{answers[ask].prompt} + {answers[ask].tokens}" for ask in (theirs, ours)),
        "",
    )
    for name in pairs[0][0]:
        ratios = [mine[name] / other[name] for mine, other in pairs]
        yield (
            name,
            f"{median(other[name] for _, other in pairs):.1f}",
            f"{median(mine[name] for mine, _ in pairs):.1f}",
            f"{median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})",
        )


def main() -> int:
    """Measure, and print a table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = MODELS["smollm2"]
    parser.add_argument("--model", type=Path, default=cache_folder() / Path(known.member).name)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with xllamacpp")
    options = parser.parse_args()
    if not has_peer(options.peer_python):
        parser.error(NO_PEER)
    load = os.getloadavg()[0]
    with (
        daemon(options.model, "llama", options.threads, **PARAM) as (client, pid),
        llama_server(
            options.model, options.threads, CONTEXT, 1, python=options.peer_python
        ) as server,
    ):
        print(f"The peer's build: {server.build}\n", file=sys.stderr)
        ours = partial(ask_daemon, client, pid)
        theirs = partial(ask_peer, server.address, server.pid)
        rows = list(compare(ours, theirs, options.rounds))
    print(markdown(("", "llama.cpp's server", "the daemon", "ratio"), rows))
    print(f"\n{machine()}, {options.threads} threads, {loads(load)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
