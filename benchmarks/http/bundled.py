"""The bundled model behind the service, and the same file in llama.cpp's own server."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from functools import partial

import attrs

from benchmarks.clients import clients
from benchmarks.http.bench import HTTPBench, body
from benchmarks.http.servers import contenders, serving
from benchmarks.model_servers import has_peer, llama_server
from benchmarks.processes import resident
from benchmarks.suite.contenders import daemon, running
from benchmarks.suite.ratios import Row, in_turns
from rkllm_twisted.cpu import demo_model

LLAMA = "llama"
QUESTION = "What is a generator?"
CLIENTS = 8
CONTEXT = 2048


@attrs.frozen
class Place:
    """A server, and the processes that answer.

    :param pids: with their children: the HTTP server's, and the daemon's if it is another one.
    """

    port: int
    pids: tuple[int, ...]


def bundled(bench: HTTPBench) -> list[Row]:
    """Measure whole answers and short ones."""
    with _places(bench) as places:

        def measure(place: Place) -> Mapping[str, float]:
            whole = bench.programs.http(place.port, body(QUESTION, max_tokens=64))
            many = bench.programs.http(
                place.port, body(QUESTION, max_tokens=64), connections=CLIENTS
            )
            short = bench.programs.http(
                place.port, body(QUESTION, stream=False, max_tokens=1), requests=bench.size.answers
            )
            return {
                "whole": whole["requests_per_second"],
                "many": many["requests_per_second"],
                "short": short["requests_per_second"],
                "resident": sum(map(resident, place.pids)),
            }

        for place in places.values():
            bench.programs.http(place.port, body(QUESTION, max_tokens=64))
        found = in_turns({n: partial(measure, one) for n, one in places.items()}, bench.size.turns)
    return [
        Row("streamed answers of 9 tokens, 1 client", "answers/s", found["whole"]),
        Row(f"the same, {CLIENTS} clients at once", "answers/s", found["many"]),
        Row("answers of 1 token, 1 client", "answers/s", found["short"]),
        Row("resident, with daemon and model", "MB", found["resident"], False),
    ]


@contextlib.contextmanager
def _places(bench: HTTPBench) -> Iterator[Mapping[str, Place]]:
    path = bench.directory / "bundled.sock"
    with contextlib.ExitStack() as stack:
        models = bench.directory / "bundled"
        models.mkdir()
        shutil.copy(demo_model(), models / "model.gguf")
        command = daemon("process", f"--model-dir={models}")
        server = stack.enter_context(running(command, bench.programs.directory, path))
        with clients(path, 1) as [client]:
            client.ask("models.load", {"model": "model", "param": {"top_k": 1}})
        names = contenders()
        places = {
            name: Place(one.port, (one.pid, server.pid))
            for name, one in stack.enter_context(serving(names, path)).items()
        }
        if has_peer(sys.executable):
            peer = stack.enter_context(llama_server(demo_model(), 1, CONTEXT))
            places[LLAMA] = Place(int(peer.address.rpartition(":")[2]), (peer.pid,))
        yield places
