"""Big arrays of floats: the time of a request with them, and the delay for another client.

The numbers go through the socket and back, and the daemon checks them. The yardstick is Python's
own ``json``, or ``base64``, for the same numbers: a program without a daemon.
"""

from __future__ import annotations

import base64
import json
import random
import time
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from benchmarks.clients import clients
from benchmarks.processes import processor_times, spent_since
from benchmarks.suite.bench import Bench, request
from benchmarks.suite.contenders import CONTENDERS, OURS, Server
from benchmarks.suite.programs import Load
from benchmarks.suite.ratios import Row, in_turns

EMBED, LOGITS = "RKLLM_INPUT_EMBED", "RKLLM_INFER_GET_LOGITS"
#: Pings per second of another client.
RATE = 1000.0
#: A request that is answered with logits.
PROMPT = {"rkllm_input": {"prompt_input": "x"}, "rkllm_infer_params": {"mode": LOGITS}}
#: How many times longer than other requests these are measured.
LONGER = 1.5
#: How many requests are made at least where their processor time is measured.
LEAST = 3
Yardstick = tuple[str, Callable[[], object]]


@attrs.frozen
class Cargo:
    """A request or an answer with a big array of floats.

    :param form: form of the floats in answers, for ``server.configure``.
    :param yardstick: its name, and a Python function that does the same.
    """

    title: str
    form: str
    params: Any
    expect: str
    yardstick: Yardstick

    def load(self, seconds: float) -> Load:
        """Send these requests one after the other."""
        first = request("server.configure", {"floats": self.form}).decode()
        payload = request("rkllm.run", self.params)
        return Load(payload, seconds=seconds, expect=self.expect, first=first)


def as_json(bench: Bench) -> list[Cargo]:
    """Return logits and an embedding as numbers of JSON."""
    logits, titles = _logits(bench), _titles(bench, "JSON")
    numbers = _embedded(bench, [float(f"{each:.7g}") for each in _embedding(bench)])
    return [
        Cargo(titles[0], "json", PROMPT, '"logits":[',
              ("json.dumps of them", partial(json.dumps, logits.tolist()))),
        Cargo(titles[1], "json", numbers, '"text":"ok"',
              ("json.loads of it", partial(json.loads, json.dumps(numbers)))),
    ]  # fmt: skip


def as_base64(bench: Bench) -> list[Cargo]:
    """Return logits and an embedding as base64."""
    logits, titles = _logits(bench), _titles(bench, "base64")
    text = _embedded(bench, packed(_embedding(bench)))
    return [
        Cargo(titles[0], "base64", PROMPT, '"base64":"',
              ("b64encode and json.dumps of them", lambda: json.dumps(packed(logits)))),
        Cargo(titles[1], "json", text, '"text":"ok"',
              ("json.loads and b64decode of it", partial(unpacked, json.dumps(text)))),
    ]  # fmt: skip


def _titles(bench: Bench, form: str) -> tuple[str, str]:
    rows, columns = bench.size.image
    logits = f"logits, {bench.size.vocabulary:,}, as {form}"
    return logits, f"an embedding of {rows} × {columns:,}, as {form}"


def _logits(bench: Bench) -> array[float]:
    """Return the logits of the scripted engine."""
    return array("f", [(number % 257 - 128) / 128 for number in range(bench.size.vocabulary)])


def _embedding(bench: Bench) -> array[float]:
    (rows, columns), chance = bench.size.image, random.Random(1)
    return array("f", [chance.gauss(0, 3) for _ in range(rows * columns)])


def _embedded(bench: Bench, floats: object) -> dict[str, Any]:
    return {"rkllm_input": {"input_type": EMBED, "embed_input": {
        "embed": floats, "n_tokens": bench.size.image[0]}}}  # fmt: skip


def packed(floats: array[float]) -> dict[str, Any]:
    """Encode floats as base64, in the daemon's form."""
    text = base64.b64encode(floats).decode()
    return {"base64": text, "dtype": "<f4", "shape": [len(floats)]}


def unpacked(message: str) -> array[float]:
    """Decode a base64 embedding with the standard library alone, as the yardstick."""
    embed = json.loads(message)["rkllm_input"]["embed_input"]["embed"]
    return array("f", base64.b64decode(embed["base64"], validate=True))


def arrays(bench: Bench) -> list[Row]:
    """Measure two rows per array, and a ping's latency without one."""
    rows = []
    with bench.daemons() as servers:
        for cargo in (*as_json(bench), *as_base64(bench)):
            name, work = cargo.yardstick
            found = in_turns(
                {
                    **{name: partial(_carried, bench, servers[name], cargo) for name in servers},
                    name: partial(_by_python, work),
                },
                bench.size.turns,
            )
            for figure, values in found.items():
                rows.append(Row(f"{cargo.title}: {figure}", "ms", values, more_is_better=False))
        alone = {name: partial(_ping, bench, servers[name]) for name in servers}
        for figure, values in in_turns(alone, bench.size.turns).items():
            rows.append(Row(f"no arrays: {figure}", "ms", values, more_is_better=False))
    return rows


def base64_cost(bench: Bench) -> list[Row]:
    """Measure the processor time of a request with an array as base64."""
    rows = []
    with bench.daemons() as servers:
        for cargo in as_base64(bench):
            measures = {name: partial(_spent, bench, servers[name], cargo) for name in servers}
            found = in_turns(measures, bench.size.turns)["cost"]
            title = f"{cargo.title}: processor time of a request"
            rows.append(Row(title, "ms", found, more_is_better=False))
    return rows


def _spent(bench: Bench, server: Server, cargo: Cargo) -> Mapping[str, float]:
    """Ask for a time, and several times at least."""
    with clients(server.path, 1) as [client]:
        client.ask("server.configure", {"floats": cargo.form})
        client.ask("rkllm.run", cargo.params)  # the processes have reached their size
        before, count = processor_times(server.pid), 0
        until = time.monotonic() + LONGER * bench.size.seconds
        while count < LEAST or time.monotonic() < until:
            client.ask("rkllm.run", cargo.params)
            count += 1
    return {"cost": 1000 * spent_since(before, server.pid) / count}


def _carried(bench: Bench, server: Server, cargo: Cargo) -> Mapping[str, float]:
    load = cargo.load(LONGER * bench.size.seconds)
    found = bench.programs.load(server.path, load)
    with bench.programs.load_beside(server.path, attrs.evolve(load, seconds=60)):
        waited = _ping(bench, server)
    return {"a request, p50": found["p50_us"] / 1000, **waited}


def _ping(bench: Bench, server: Server) -> Mapping[str, float]:
    ping = Load(CONTENDERS[OURS].ping(), rate=RATE, seconds=LONGER * bench.size.seconds)
    return {"another's ping waits at most": bench.programs.load(server.path, ping)["max_us"] / 1000}


def _by_python(work: Callable[[], object]) -> Mapping[str, float]:
    begun = time.perf_counter()
    work()
    return {"a request, p50": 1000 * (time.perf_counter() - begun)}
