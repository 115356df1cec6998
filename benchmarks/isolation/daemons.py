"""Daemons with either isolation, as their clients see them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from benchmarks.clients import PATIENCE, Client
from benchmarks.processes import accepts, children, environment, proportional, twistd, wait_for

MODES = ("process", "thread")


#: Milliseconds between two tokens: for a fast model on a board, and for a faster one than exists.
PACE, HASTE = 10, 1
#: An embedding of 7 million floats, and logits of the same size.
TOKENS, WIDTH, VOCAB = 1000, 7000, 152_000
CONTEXT = {".script": 4 * TOKENS, ".gguf": 512}
SCRIPT = f"""#!rkllm-script 1
context {CONTEXT[".script"]}
embd {WIDTH}
run when "pace"
delay {PACE}
clock 1000000
run when "haste"
delay {HASTE}
clock 1000000
run when "segv"
clock 1
segv
run when "abort"
clock 1
abort
run when "exit"
clock 1
exit 3
run when "hang"
clock 1
deaf
hang
run mode logits
logits {TOKENS * WIDTH // VOCAB} {VOCAB}
nofinish
run
token "ok"
"""


@attrs.frozen
class Daemon:
    """A daemon, as its clients see it."""

    mode: str
    directory: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> Client:
        """Open a connection."""
        return Client(self.directory / "sock")

    def children(self) -> list[int]:
        """Return the runtime's process, if it has its own."""
        return children(self.process.pid)

    def settle(self) -> None:
        """Wait until the daemon is fully started."""
        wait_for(lambda: accepts(self.directory / "sock") or self.process.poll() is not None)
        wait_for(lambda: len(self.children()) == (self.mode == "process"))

    def memory(self) -> int:
        """Return the memory of the daemon and its child in bytes."""
        with contextlib.closing(self.connect()) as client:
            client.ask("rkllm.createDefaultParam")  # a runtime that answers has started
        return sum(map(proportional, (self.process.pid, *self.children())))

    def load(self, model: Path | None = None) -> Client:
        """Load a model, by default the script, and return the connection that loaded it."""
        client = self.connect()
        if model is None:
            model = self.directory / "bench.script"
            model.write_text(SCRIPT)
        param = {
            "model_path": str(model),
            "max_new_tokens": 0,
            "max_context_len": CONTEXT[model.suffix],
        }
        assert client.ask("rkllm.init", {"param": param})["success"]
        return client

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Stop the daemon and return how long that took."""
        begun = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        return time.monotonic() - begun


@contextlib.contextmanager
def daemon(mode: str) -> Iterator[Daemon]:
    """Start a daemon and stop it at the end."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = twistd(directory / "sock", mode, "--max-clients=200")
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=directory, env=environment()
            )
        running = Daemon(mode, directory, process)
        try:
            running.settle()
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def two_daemons() -> Iterator[dict[str, Daemon]]:
    """Start one daemon of each isolation, with the model loaded."""
    with daemon("process") as process, daemon("thread") as thread:
        both = {"process": process, "thread": thread}
        for running in both.values():
            running.load().close()
        yield both
