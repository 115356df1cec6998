"""Daemons of both isolations, seen from their clients."""

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
from benchmarks.processes import children, environment, proportional, twistd, wait_for

MODES = ("process", "thread")


#: Milliseconds between two tokens: of a fast model on a board, and more than any gives.
PACE, HASTE = 10, 1
#: An embedding of 7 million floats, and logits of as many.
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
    """A daemon, seen from its clients."""

    mode: str
    directory: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> Client:
        """A new connection."""
        return Client(self.directory / "sock")

    def children(self) -> list[int]:
        """The runtime's process, where it has one."""
        return children(self.process.pid)

    def settle(self) -> None:
        """Wait until all that makes a daemon is there."""
        wait_for(lambda: (self.directory / "sock").exists() or self.process.poll() is not None)
        wait_for(lambda: len(self.children()) == (self.mode == "process"))

    def memory(self) -> int:
        """Bytes of the daemon and its child."""
        with contextlib.closing(self.connect()) as client:
            client.ask("rkllm.createDefaultParam")  # who answers has started
        return sum(map(proportional, (self.process.pid, *self.children())))

    def load(self, model: Path | None = None) -> Client:
        """Load a model, the script unless told otherwise; the connection that did it."""
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
        """End it; how long that took."""
        begun = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        return time.monotonic() - begun


@contextlib.contextmanager
def daemon(mode: str) -> Iterator[Daemon]:
    """Start one, and stop it."""
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
    """One of each, with the model loaded."""
    with daemon("process") as process, daemon("thread") as thread:
        both = {"process": process, "thread": thread}
        for running in both.values():
            running.load().close()
        yield both
