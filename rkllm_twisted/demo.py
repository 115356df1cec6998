"""``rkllm demo``: the whole way once, from starting the daemon to the figures of an answer."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.blocking import Client, Unreachable
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import RPCError

#: Seconds that the daemon may take to listen, and to stop.
PATIENCE = 20.0
HOW_TO_GO_ON = """
How to go on:
  {bin}twistd -n rkllm --library cpu
      starts a daemon of your own
  {bin}rkllm run --model $({bin}rkllm demo-model) "What is a list?"
      loads the bundled model into it and asks something
  {bin}rkllm call server.status
      calls any method, with JSON
On a board, leave --library out: librkllmrt.so is found on the loader's path.
"""


def demonstrate(prompt: str) -> int:
    """Show it.

    :returns: the exit code.
    """
    with tempfile.TemporaryDirectory(prefix="rkllm-demo-") as directory:
        path = str(Path(directory) / "rkllm.sock")
        with daemon(path) as client:
            load(client)
            click.echo(f"Asking    {prompt}\n")
            perf, first = ask(client, prompt)
    click.echo(
        f"\n\ntime to first token {first * 1000:.1f} ms,"
        f" {perf['generate_tokens']} tokens at {rate(perf, 'generate'):.0f} tokens/s"
        f" (prompt: {perf['prefill_tokens']} tokens at {rate(perf, 'prefill'):.0f} tokens/s),"
        f" {perf['memory_usage_mb']:.0f} MB"
    )
    click.echo(HOW_TO_GO_ON.format(bin=own_bin()), nl=False)
    return 0


def own_bin() -> str:
    """What to put before a command so that a shell finds it: nothing where it is on the path."""
    here = Path(sys.argv[0]).absolute().parent
    if str(here) in os.environ.get("PATH", "").split(os.pathsep):
        return ""
    try:
        return f"{here.relative_to(Path.cwd())}/"
    except ValueError:
        return f"{here}/"


@contextmanager
def daemon(path: str) -> Iterator[Client]:
    """A daemon on a socket of its own for as long as the context lasts, and a client of it.

    :raises Unreachable: it did not start; the text holds what it said.
    """
    run = "from twisted.scripts.twistd import run; run()"
    options = ["--nodaemon", "--pidfile=", "rkllm", "--library=cpu", f"--socket={path}"]
    click.echo(f"Starting  twistd {shlex.join(options)}")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", run, *options], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            with await_daemon(process, path) as client:
                yield client
        except Unreachable:
            process.kill()
            log.seek(0)
            raise Unreachable(f"The daemon did not start:\n{log.read()}") from None
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def await_daemon(process: subprocess.Popen[bytes], path: str) -> Client:
    """Connect as soon as the daemon listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return Client(path)
        except Unreachable:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.02)  # until the socket is there; nothing else announces it


def load(client: Client) -> None:
    """Load the bundled model, greedy, so that the demo says the same each time."""
    model = demo_model()
    click.echo(f"Loading   {model} ({model.stat().st_size / 1e6:.1f} MB)")
    client.call("rkllm.init", {"param": {"model_path": str(model), "top_k": 1}})


def ask(client: Client, prompt: str) -> tuple[dict[str, Any], float]:
    """Print the answer as it comes.

    :returns: the run's perf, and the seconds to its first token.
    :raises RPCError: the run ended in an error.
    """
    params = {"rkllm_input": {"role": "user", "input_type": 0, "prompt_input": prompt}}
    begun = time.perf_counter()
    first = None
    result: dict[str, Any] = {}
    for result in client.stream("rkllm.run_async", params):
        if first is None:
            first = time.perf_counter() - begun
        if result["_callback_state"] == 0:
            click.echo(result["text"], nl=False)
            sys.stdout.flush()
    if result["_callback_state"] == 3:
        raise RPCError("The run ended in an error.")
    return result["perf"], first or 0.0


def rate(perf: dict[str, Any], phase: str) -> float:
    """Tokens per second of one phase, ``prefill`` or ``generate``."""
    milliseconds: float = perf[f"{phase}_time_ms"]
    return 1000 * perf[f"{phase}_tokens"] / milliseconds if milliseconds else 0.0
