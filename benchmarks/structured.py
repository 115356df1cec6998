"""What the choice of tokens costs beside the runs themselves: ``python -m benchmarks.structured``.

The scripted engine gives a token, or a row of logits, after the same time. Free generation and an
answer in a form are measured in turns, through the socket and with the library in a child process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, islice, product
from pathlib import Path

import attrs

from benchmarks.processes import (
    accepts,
    ending,
    environment,
    processor_times,
    spent_since,
    twistd,
    wait_for,
)
from benchmarks.tables import machine, row, table
from rkllm_twisted.blocking import Client
from rkllm_twisted.chat.token_table import letters_of_bytes

#: Tokens of the vocabulary: Qwen's number.
VOCABULARY = 151_936
#: The time of a token, at 20 tokens a second.
RUN_MS = 50
#: What an answer in a form may take more than free generation, in per cent.
MAX_COST_PERCENT = 15
LEVEL = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
OPEN_FORMS = {
    "a pattern that allows many tokens": {"regex": "[a-z ]{4000}"},
    "a string in a schema": {
        "schema": {
            "type": "object",
            "properties": {"text": {"type": "string", "minLength": 4000}},
            "required": ["text"],
        }
    },
}


def furnish(folder: Path, tokens: int) -> Path:
    """Write a script that answers for ever, and a tokenizer of the size beside it."""
    letters = letters_of_bytes()
    words = [*letters, *islice(map("".join, product(LETTERS, repeat=4)), VOCABULARY - 257)]
    vocab = {word: number for number, word in enumerate(dict.fromkeys(words))}
    end = len(vocab)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    settings = {
        "version": "1.0",
        "added_tokens": [{"id": end, "content": "<|end|>", "special": True, **flags}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", **LEVEL},
        "decoder": {"type": "ByteLevel", **LEVEL},
        "post_processor": None,
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|end|>"}')
    arrays = [
        *("run mode hidden", "hidden 1 64", "nofinish"),
        *("run mode logits", f"delay {RUN_MS}", f"logits 1 {VOCABULARY}", "nofinish"),
    ]
    said = [f'token "a" {vocab["a"]}'] * (tokens + 8)
    lines = ["#!rkllm-script 1", f"vocab {VOCABULARY}", *arrays, "run", f"delay {RUN_MS}", *said]
    model = folder / "wide.script"
    model.write_text("\n".join([*lines, "finish", ""]))
    return model


def free(client: Client, tokens: int) -> float:
    """Return the milliseconds of a token of free generation."""
    params = {"prompt": "aa", "stream": True, "max_new_tokens": tokens}
    times = [time.perf_counter() for _ in client.stream("text.complete", params)]
    return 1000 * (times[tokens - 1] - times[0]) / (tokens - 1)


def in_form(client: Client, tokens: int, form: object) -> float:
    """Return the milliseconds of a run of an answer in a form."""
    assert isinstance(form, dict)
    made = client.structured_text("aa", max_new_tokens=tokens, **form)
    assert made.runs > tokens / 2, made
    assert made.guaranteed
    return made.usage.generate_ms / made.runs


@attrs.frozen
class Turn:
    """One answer of each kind.

    :param free: milliseconds of a token of free generation.
    :param structured: milliseconds of a run in a form.
    :param free_cpu: processor milliseconds of the daemon for such a token.
    :param structured_cpu: the same of a run in a form.
    """

    free: float
    structured: float
    free_cpu: float
    structured_cpu: float


def timed(
    ask: Callable[[Client, int], float], client: Client, tokens: int, pid: int
) -> tuple[float, float]:
    """Return the milliseconds of a token, and the processor milliseconds."""
    before = processor_times(pid)
    wall = ask(client, tokens)
    return wall, 1000 * spent_since(before, pid) / tokens


def measure(turns: int, tokens: int) -> dict[str, list[Turn]]:
    """Return what was measured, by form."""
    found: dict[str, list[Turn]] = {name: [] for name in OPEN_FORMS}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        path = folder / "rkllm.sock"
        model = furnish(folder, tokens)
        command = twistd(path, "process", log=os.devnull)
        process = subprocess.Popen(command, env=environment())
        with ending(process):
            wait_for(lambda: accepts(path))
            with Client(path, timeout=600) as client:
                client.init(str(model), max_context_len=4096)
                for form in OPEN_FORMS.values():
                    in_form(client, 24, form)  # the tokenizer's tables are made once
                for _ in range(turns):
                    for name, form in OPEN_FORMS.items():
                        plain = timed(free, client, tokens, process.pid)
                        ask = partial(in_form, form=form)
                        both = zip(plain, timed(ask, client, tokens, process.pid), strict=True)
                        found[name].append(Turn(*chain.from_iterable(both)))
    return found


def report(found: dict[str, list[Turn]]) -> str:
    """Return the table."""
    rows = []
    for name, turns in found.items():
        costs = [100 * (one.structured / one.free - 1) for one in turns]
        cost = statistics.median(costs)
        cpu = statistics.median(one.structured_cpu - one.free_cpu for one in turns)
        rows += [
            row(f"{name}: free, a token", _ms(one.free for one in turns)),
            row(f"{name}: in the form, a run", _ms(one.structured for one in turns)),
            row(
                f"{name}: more",
                f"{cost:.1f} % ({min(costs):.1f} to {max(costs):.1f})",
                f"≤ {MAX_COST_PERCENT} %",
                cost <= MAX_COST_PERCENT,
            ),
            row(
                f"{name}: processor time more, of all processes",
                f"{cpu:.1f} ms, {100 * cpu / RUN_MS:.1f} % of a run",
            ),
        ]
    return table(rows)


def _ms(values: Iterable[float]) -> str:
    return f"{statistics.median(values):.1f} ms"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few tokens, once")
    quick = parser.parse_args(arguments).quick
    found = measure(*((1, 24) if quick else (5, 60)))
    print(f"{VOCABULARY} tokens, {1000 / RUN_MS:.0f} runs a second, {machine()}\n")
    print(report(found))


if __name__ == "__main__":
    main()
