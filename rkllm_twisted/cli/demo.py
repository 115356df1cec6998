"""``rkllm demo``: start a daemon, load a model, run a prompt, show the figures."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs
import click

from rkllm_twisted.blocking import Client, Unreachable
from rkllm_twisted.cli import demo_vision, demo_web
from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cli.terminal import say
from rkllm_twisted.client_core.results import Perf
from rkllm_twisted.cpu import CPU, LLAMA, demo_model, libllama
from rkllm_twisted.cpu.packages import MODELS, cache_folder, fetch_libllama, fetch_model

#: The daemon must listen, and must stop, within this time. It takes a second on an idle machine.
DAEMON_TIMEOUT_S = 60.0
NEXT_STEPS = """
Next steps:
  {bin}twistd -n rkllm --library {daemon}
      starts a daemon of your own{with_model}
  {bin}rkllm run {model}"What is a list?"
      {loads}runs a prompt
  {bin}rkllm chat
      starts a chat; {bin}rkllm --help lists the other commands
On a board, omit --library: the daemon finds librkllmrt.so on the loader's path.
"""


@attrs.frozen
class Demonstration:
    """The programs and the model of a demonstration.

    :param library: see ``twistd rkllm --library``.
    :param model: returns the path of the model.
    """

    library: str
    model: Callable[[], Path]
    prompt: str


BUNDLED = Demonstration(CPU, demo_model, "What is a module?")


@click.command()
@debug_option
@click.option("--prompt", help="A prompt, instead of one that suits the model.")
@click.option(
    "--model",
    "name",
    type=click.Choice(list(MODELS)),
    help="A real model, which is downloaded once together with llama.cpp.",
)
@click.option("--web", is_flag=True, help="Serve a chat page until Ctrl-C, in place of a prompt.")
@click.option("--vision", is_flag=True, help="Ask about pictures; the answers are made up.")
@click.option("--fleet", is_flag=True, help="Show three boards that share four questions.")
@click.option("--crossbar", hidden=True, help="The router's command, for --fleet.")
def command(
    prompt: str | None,
    name: str | None,
    web: bool,
    vision: bool,
    fleet: bool,
    crossbar: str | None,
) -> None:
    """Start a daemon with a small model, run a prompt, show the figures, and stop it.

    With --web it also starts the HTTP service, and prints the address of its chat page. With
    --fleet it starts a router, three daemons with bridges, and a front, and asks that.
    """
    if fleet:
        from rkllm_twisted.cli import demo_fleet  # noqa: PLC0415 - needs an extra

        demo_fleet.serve(crossbar)
        return
    chosen = BUNDLED if name is None else fetched(name)
    prompt = prompt or chosen.prompt
    with tempfile.TemporaryDirectory(prefix="rkllm-demo-") as directory:
        path = str(Path(directory) / "rkllm.sock")
        more = ("--vision-library=scripted",) if vision else ()
        with daemon(path, chosen.library, *more) as client:
            model = chosen.model()
            if vision:
                demo_vision.show(client, model, Path(directory))
                return
            click.echo(f"Loading   {model} ({model.stat().st_size / 1e6:.1f} MB)")
            client.init(model, top_k=1)  # greedy, so that each demo prints the same answer
            if web:
                demo_web.serve(path)
                return
            click.echo(f"Asking    {prompt}\n")
            perf, first = ask(client, prompt)
    click.echo(
        f"\n\ntime to first token {first * 1000:.1f} ms,"
        f" {perf.generate_tokens} tokens at {perf.generate_rate:.0f} tokens/s"
        f" (prompt: {perf.prefill_tokens} tokens at {perf.prefill_rate:.0f} tokens/s),"
        f" {perf.memory_usage_mb:.0f} MB"
    )
    click.echo(next_steps(name, model), nl=False)


def next_steps(name: str | None, model: Path) -> str:
    """Return what to do after a demonstration.

    :param name: of a model that was fetched, which its daemon loads with the settings beside it;
        None for the bundled model.
    """
    own = own_bin()
    if name is None:
        given = f"--model $({own}rkllm demo-model) "
        words = {"daemon": CPU, "with_model": "", "model": given}
        return NEXT_STEPS.format(bin=own, **words, loads="loads the model into it and ")
    options = f"{LLAMA} --model-dir {shlex.quote(str(model.parent))} --model {name}"
    words = {"daemon": options, "with_model": ", with the model", "model": ""}
    return NEXT_STEPS.format(bin=own, **words, loads="")


def fetched(name: str) -> Demonstration:
    """Return a demonstration of a real model; download the model and libllama if needed.

    :raises StartupError: if they cannot be downloaded.
    """
    say_err = partial(click.echo, err=True)
    if libllama.find(os.environ) is None:
        folder = libllama.user_folder(os.environ)
        fetch_libllama(platform.machine(), folder, say_err)
    model = fetch_model(MODELS[name], cache_folder(), say_err)
    return Demonstration(LLAMA, lambda: model, MODELS[name].question)


def own_bin() -> str:
    """Return the directory of this command for a shell; empty if it is on the path."""
    here = Path(sys.argv[0]).absolute().parent
    if str(here) in os.environ.get("PATH", "").split(os.pathsep):
        return ""
    try:
        return f"{here.relative_to(Path.cwd())}/"
    except ValueError:
        return f"{here}/"


@contextmanager
def daemon(path: str, library: str, *more: str) -> Iterator[Client]:
    """Start a daemon, return a client of it, and stop the daemon at the end of the context.

    :param more: further options.
    :raises Unreachable: if it did not start; the text has the daemon's output.
    """
    run = "from twisted.scripts.twistd import run; run()"
    options = ["--nodaemon", "--pidfile=", "rkllm", f"--library={library}", *more]
    options.append(f"--socket={path}")
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
            process.wait(DAEMON_TIMEOUT_S)


def await_daemon(process: subprocess.Popen[bytes], path: str) -> Client:
    """Connect when the daemon listens."""
    deadline = time.monotonic() + DAEMON_TIMEOUT_S
    while True:
        try:
            return Client(path)
        except Unreachable:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.02)  # nothing announces the socket


def ask(client: Client, prompt: str) -> tuple[Perf, float]:
    """Run the prompt and print the answer as it comes.

    :returns: the run's figures, and the seconds to its first token.
    :raises RPCError: if the run ended in an error.
    """
    begun = time.perf_counter()
    first = 0.0
    perf = None
    for result in client.run_async({"role": "user", "prompt_input": prompt}):
        first = first or time.perf_counter() - begun
        perf = result.perf
        say(result.text)
    return perf or Perf(), first
