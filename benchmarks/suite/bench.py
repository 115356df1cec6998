"""Shared parts of the benchmarks: sizes, directories and daemons."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from benchmarks.clients import Client, clients
from benchmarks.suite.contenders import Server, daemon, relay, running
from benchmarks.suite.programs import Programs

#: The daemon's two isolations.
PROCESS, THREAD = "process", "thread"
#: The yardstick of an all-C path: two processes that do nothing but pass on.
RELAY = "relay"
#: Floats in a row of logits: the size of a vocabulary.
VOCABULARY = 152_000
#: The models of the benchmarks, by the prompt's words. The times are in milliseconds.
SCRIPT = """#!rkllm-script 1
context 10000000
embd {width}
run when "full speed"
repeat {tokens} token "x"
run when "moment"
repeat {burst} token "x"
run when "paced"
delay 1
clock {paced}
run when "board"
delay 50
clock {board}
run when "for ever"
delay 1
repeat 100000000 token "x"
run mode logits
logits 1 {vocabulary}
nofinish
run
token "ok"
"""


@attrs.frozen
class Size:
    """How much is measured.

    :param turns: number of alternations.
    :param seconds: duration of a load.
    :param crowd: the largest number of connections.
    :param tokens: tokens of a run at full speed.
    :param burst: tokens of a short run.
    :param paced: tokens of a run at a thousand per second.
    :param board: tokens of a run at twenty per second, as a model on a board has.
    :param image: rows and columns of an embedding.
    :param vocabulary: floats in a row of logits.
    """

    turns: int = 5
    seconds: float = 0.3
    crowd: int = 1000
    tokens: int = 20_000
    burst: int = 5_000
    paced: int = 500
    board: int = 40
    image: tuple[int, int] = (196, 1536)
    vocabulary: int = VOCABULARY


QUICK = Size(1, 0.05, 20, 500, 2000, 50, 3, (2, 1536), 1000)


@attrs.frozen
class Bench:
    """The directory, sizes and programs of one benchmark run.

    :param names: names of the contenders.
    """

    programs: Programs
    directory: Path
    size: Size
    names: tuple[str, ...]

    @property
    def model(self) -> Path:
        """Return the path of the scripted model; the first call writes it."""
        path = self.directory / "model.script"
        if not path.exists():
            sizes = attrs.asdict(self.size)
            path.write_text(SCRIPT.format(width=self.size.image[1], **sizes))
        return path

    @contextlib.contextmanager
    def loaded(self, isolation: str, *options: str) -> Iterator[Server]:
        """Start a daemon with the model loaded."""
        path = self.directory / f"{isolation}.sock"
        with running(daemon(isolation, *options), self.programs.directory, path) as server:
            load_model(path, self.model)
            yield server

    @contextlib.contextmanager
    def daemons_and_relay(self) -> Iterator[Mapping[str, Server]]:
        """Start one daemon of each isolation, and the relay."""
        path = self.directory / f"{RELAY}.sock"
        with self.daemons() as servers, running(relay, self.programs.directory, path) as server:
            load_model(path, self.model)
            yield {**servers, RELAY: server}

    @contextlib.contextmanager
    def daemons(self) -> Iterator[Mapping[str, Server]]:
        """Start one daemon of each isolation."""
        with self.loaded(PROCESS) as process, self.loaded(THREAD) as thread:
            yield {PROCESS: process, THREAD: thread}


def load_model(path: Path, model: Path) -> None:
    """Load a model in the daemon."""
    with clients(path, 1) as [client]:
        init(client, model)


def init(client: Client, model: Path) -> None:
    """Load a model for a client."""
    client.ask("rkllm.init", [{"model_path": str(model), "max_new_tokens": -1}])


def request(method: str, params: object) -> bytes:
    """Make a message for one of the C programs."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(message).encode()


def run(prompt: str, method: str = "rkllm.run_async") -> bytes:
    """Make a run request."""
    return request(method, {"rkllm_input": {"prompt_input": prompt}})
