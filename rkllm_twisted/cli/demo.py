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

import click

from rkllm_twisted.blocking import Client, Unreachable
from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cli.terminal import say
from rkllm_twisted.client_core.results import Perf
from rkllm_twisted.cpu import demo_model

#: Seconds that the daemon may take to listen, and to stop.
PATIENCE = 20.0
HOW_TO_GO_ON = """
How to go on:
  {bin}twistd -n rkllm --library cpu
      starts a daemon of your own
  {bin}rkllm run --model $({bin}rkllm demo-model) "What is a list?"
      loads the bundled model into it and asks something
  {bin}rkllm chat
      talks with the model; {bin}rkllm --help lists what else there is
On a board, leave --library out: librkllmrt.so is found on the loader's path.
"""


@click.command()
@debug_option
@click.option("--prompt", default="What is a module?", show_default=True)
def command(prompt: str) -> None:
    """Start a daemon with the bundled model, ask it something, show the figures, stop it."""
    with tempfile.TemporaryDirectory(prefix="rkllm-demo-") as directory:
        path = str(Path(directory) / "rkllm.sock")
        with daemon(path) as client:
            model = demo_model()
            click.echo(f"Loading   {model} ({model.stat().st_size / 1e6:.1f} MB)")
            client.init(model, top_k=1)  # greedy, so that the demo says the same each time
            click.echo(f"Asking    {prompt}\n")
            perf, first = ask(client, prompt)
    click.echo(
        f"\n\ntime to first token {first * 1000:.1f} ms,"
        f" {perf.generate_tokens} tokens at {perf.generate_rate:.0f} tokens/s"
        f" (prompt: {perf.prefill_tokens} tokens at {perf.prefill_rate:.0f} tokens/s),"
        f" {perf.memory_usage_mb:.0f} MB"
    )
    click.echo(HOW_TO_GO_ON.format(bin=own_bin()), nl=False)


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


def ask(client: Client, prompt: str) -> tuple[Perf, float]:
    """Print the answer as it comes.

    :returns: the run's figures, and the seconds to its first token.
    :raises RPCError: the run ended in an error.
    """
    begun = time.perf_counter()
    first = 0.0
    perf = None
    for result in client.run_async({"role": "user", "prompt_input": prompt}):
        first = first or time.perf_counter() - begun
        perf = result.perf
        say(result.text)
    return perf or Perf(), first
