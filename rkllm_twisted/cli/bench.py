"""``rkllm bench``: how soon and how fast the model answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.bench_figures import PromptFigures, Sample, Spread, Stopwatch
from rkllm_twisted.cli.connected import dump, json_option, model_option, params_option, with_client
from rkllm_twisted.cli.load import load
from rkllm_twisted.cli.terminal import console, waiting
from rkllm_twisted.errors import RuntimeRefused

#: A short question, one with something to read, and one that takes a long answer.
PROMPTS = (
    "What is a module?",
    "Summarise in one sentence: a UNIX socket joins two processes on one machine, has a name in the"
    " file system, and passes bytes in order, both ways, without any of them being lost.",
    "Explain step by step how a computer starts, from the power switch to the prompt of a shell.",
)


def _svg(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """A file that can be drawn: what is missing is said before minutes are spent on measuring."""
    if path is None:
        return None
    if path.suffix != ".svg":
        raise click.BadParameter(f"{path.name!r} does not end in .svg: plots are SVG.")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"There is no directory {str(path.parent)!r}.")
    from rkllm_twisted.cli.plotting import pygal  # noqa: PLC0415 - only here

    pygal()
    return path


@click.command()
@with_client
@model_option
@click.option("--prompt", "prompts", multiple=True, help="Ask this; may be given several times.")
@click.option(
    "-n", "--repeat", type=click.IntRange(1), default=3, show_default=True, help="Runs per prompt."
)
@click.option("--warm-up/--no-warm-up", default=True, help="Make one run before that counts not.")
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=_svg,
    metavar="FILE.svg",
    help="Draw the figures.",
)
@params_option("RKLLMInferParam, such as max_new_tokens=64")
@json_option
def command(
    client: Client,
    model: str | None,
    prompts: Sequence[str],
    repeat: int,
    warm_up: bool,
    plot_path: Path | None,
    params: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Measure how soon and how fast the model answers.

    Time to the first token and tokens per second are what this client meets, from the question on,
    queue and socket included. How fast the runtime generates and reads the prompt are its own
    figures. Each is the median of the repeats, with the least and the greatest in brackets.
    """
    if model is not None:
        load(client, model)
    asked = tuple(prompts) or PROMPTS
    if warm_up:
        with waiting("Warming up"):
            _run(client, asked[0], params)
    measured = []
    for number, prompt in enumerate(asked, 1):
        with waiting(f"Prompt {number} of {len(asked)}, {repeat} runs"):
            samples = [_run(client, prompt, params) for _ in range(repeat)]
        measured.append(PromptFigures(prompt, samples))
    status = client.call("server.status")
    if as_json:
        about = {name: status.get(name) for name in ("model_path", "backend")}
        print(dump({**about, "repeat": repeat, "prompts": [each.to_json() for each in measured]}))
    else:
        _show(measured)
    if plot_path is not None:
        from rkllm_twisted.cli.plotting import plot  # noqa: PLC0415 - only here

        plot(measured, plot_path, Path(str(status.get("model_path"))).name)


def _run(client: Client, prompt: str, params: Mapping[str, Any]) -> Sample:
    watch = Stopwatch(time.perf_counter())
    for result in client.run_async(prompt, **params):
        watch.take(result, time.perf_counter())
    try:
        return watch.sample()
    except ValueError:
        raise RuntimeRefused(f"The model had no answer to {prompt!r}.") from None


def _show(measured: Sequence[PromptFigures]) -> None:
    from rich.table import Table  # noqa: PLC0415 - --json does without
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    table.add_column("prompt", max_width=40, no_wrap=True)
    for heading in ("tokens", "first token, ms", "tokens/s", "generated/s", "read/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in measured:
        spreads = (each.tokens, "{:.0f}"), (each.first_ms, "{:.1f}"), (each.rate, "{:.1f}")
        own = (each.generate_rate, "{:.1f}"), (each.prefill_rate, "{:.0f}")
        cells = [*spreads, *own]
        table.add_row(Text(" ".join(each.prompt.split())), *(_cell(*cell) for cell in cells))
    console().print(table)


def _cell(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "-"
    median, least, greatest = (
        form.format(value) for value in (spread.median, spread.least, spread.greatest)
    )
    return median if least == greatest else f"{median} ({least}–{greatest})"
