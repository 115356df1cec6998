"""Shared parts of the benchmarks: sizes, directories and daemons."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import attrs

from benchmarks.clients import Client, clients
from benchmarks.suite.contenders import Command, DaemonCommand, Server, daemon, relay, running
from benchmarks.suite.programs import Programs

#: The daemon's two isolations.
PROCESS, THREAD = "process", "thread"
ISOLATIONS: Mapping[str, DaemonCommand] = {
    each: partial(daemon, each) for each in (PROCESS, THREAD)
}
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
    :param measured: the daemons that are compared where the contenders are not.
    :param yardsticks: whether the limits are measured beside: the relay, the library, the echo.
    """

    programs: Programs
    directory: Path
    size: Size
    names: tuple[str, ...]
    measured: Mapping[str, DaemonCommand] = attrs.field(default=ISOLATIONS, kw_only=True)
    yardsticks: bool = attrs.field(default=True, kw_only=True)

    @property
    def model(self) -> Path:
        """Return the path of the scripted model; the first call writes it."""
        path = self.directory / "model.script"
        if not path.exists():
            sizes = attrs.asdict(self.size)
            path.write_text(SCRIPT.format(width=self.size.image[1], **sizes))
        return path

    @property
    def commands(self) -> Mapping[str, Command]:
        """Return the commands of the daemons, and of the relay."""
        daemons = {name: command() for name, command in self.measured.items()}
        return {**daemons, RELAY: relay} if self.yardsticks else daemons

    @property
    def isolated(self) -> Mapping[str, DaemonCommand]:
        """Return the daemons whose runtime has a process of its own."""
        return {name: each for name, each in self.measured.items() if name != THREAD}

    @contextlib.contextmanager
    def loaded(self, name: str, *options: str) -> Iterator[Server]:
        """Start a daemon with the model loaded."""
        with self._loaded({name: self.measured[name](*options)}) as servers:
            yield servers[name]

    def daemons_and_relay(self) -> contextlib.AbstractContextManager[Mapping[str, Server]]:
        """Start each daemon, and the relay, with the model loaded."""
        return self._loaded(self.commands)

    def daemons(self) -> contextlib.AbstractContextManager[Mapping[str, Server]]:
        """Start each daemon with the model loaded."""
        return self._loaded({name: command() for name, command in self.measured.items()})

    @contextlib.contextmanager
    def _loaded(self, commands: Mapping[str, Command]) -> Iterator[Mapping[str, Server]]:
        servers = {}
        with contextlib.ExitStack() as stack:
            for name, command in commands.items():
                path = self.directory / f"{name}.sock"
                server = running(command, self.programs.directory, path)
                servers[name] = stack.enter_context(server)
                load_model(path, self.model)
            yield servers


def progress() -> Callable[[str], None]:
    """Return what tells on stderr which step begins, after how many seconds."""
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {what}", file=sys.stderr, flush=True)

    return say


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
