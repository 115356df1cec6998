"""``rkllm bench``: the time to the first token, and the tokens per second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.bench_figures import PromptFigures, Sample, Spread, Stopwatch
from rkllm_twisted.cli.connected import dump, json_option, model_options, params_option, with_client
from rkllm_twisted.cli.load import ensure_loaded
from rkllm_twisted.cli.terminal import console, waiting
from rkllm_twisted.errors import RuntimeRefused, StartupError

#: A short question, a question with a text to read, and a question with a long answer.
PROMPTS = (
    "What is a module?",
    "Summarise in one sentence: a UNIX socket joins two processes on one machine, has a name in the"
    " file system, and passes bytes in order, both ways, without any of them being lost.",
    "Explain step by step how a computer starts, from the power switch to the prompt of a shell.",
)

#: The longest label of a prompt below its bars.
LABEL_CHARACTERS = 24


def _svg(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Check the plot's file and library before minutes of measuring."""
    if path is None:
        return None
    if path.suffix != ".svg":
        raise click.BadParameter(f"{path.name!r} does not end in .svg: plots are SVG.")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"There is no directory {str(path.parent)!r}.")
    pygal()
    return path


@click.command()
@with_client
@model_options
@click.option("--prompt", "prompts", multiple=True, help="A prompt; repeat it for more.")
@click.option(
    "-n", "--repeat", type=click.IntRange(1), default=3, show_default=True, help="Runs per prompt."
)
@click.option("--warm-up/--no-warm-up", default=True, help="Do one unmeasured run first.")
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=_svg,
    metavar="FILE.svg",
    help="Write a plot of the figures.",
)
@params_option("RKLLMInferParam, such as max_new_tokens=64")
@json_option
def command(
    client: Client,
    model: str | None,
    reload: bool,
    prompts: Sequence[str],
    repeat: int,
    warm_up: bool,
    plot_path: Path | None,
    params: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Measure the time to the first token and the tokens per second.

    This client measures both from the moment it sends the prompt, queue and socket included.
    "generated/s" and "read/s" are the runtime's own figures for the answer and for the prompt. Each
    figure is the median of the repeats, with the minimum and the maximum in brackets.
    """
    if model is not None:
        ensure_loaded(client, model, reload)
    to_run = tuple(prompts) or PROMPTS
    if warm_up:
        with waiting("Warming up"):
            _run(client, to_run[0], params)
    measured = []
    for number, prompt in enumerate(to_run, 1):
        with waiting(f"Prompt {number} of {len(to_run)}, {repeat} runs"):
            samples = [_run(client, prompt, params) for _ in range(repeat)]
        measured.append(PromptFigures(prompt, samples))
    status = client.call("server.status")
    if as_json:
        about = {name: status.get(name) for name in ("model_path", "backend")}
        print(dump({**about, "repeat": repeat, "prompts": [each.to_json() for each in measured]}))
    else:
        _show(measured)
    if plot_path is not None:
        plot(measured, plot_path, Path(str(status.get("model_path"))).name)


def _run(client: Client, prompt: str, params: Mapping[str, Any]) -> Sample:
    stopwatch = Stopwatch(time.perf_counter())
    for result in client.run_async(prompt, **params):
        stopwatch.add(result, time.perf_counter())
    try:
        return stopwatch.sample()
    except ValueError:
        raise RuntimeRefused(f"The model returned no token for {prompt!r}.") from None


def _show(measured: Sequence[PromptFigures]) -> None:
    from rich.table import Table  # noqa: PLC0415 - --json does not need it
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


def pygal() -> Any:
    """Return the module that draws. It writes SVG, and the benchmarks use it, too.

    :raises StartupError: if it is not installed.
    """
    try:
        import pygal  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, needed here only
    except ImportError:
        raise StartupError(
            "--plot needs pygal; install it with: pip install 'rkllm-twisted[plot]'"
        ) from None
    return pygal


def plot(measured: Sequence[PromptFigures], path: Path, title: str) -> None:
    """Draw both figures of each prompt, with the range of the repeats.

    :raises StartupError: if pygal is not installed.
    """
    chart = pygal().Bar(title=title, show_legend=True, legend_at_bottom=True, x_label_rotation=20)
    chart.config.js = []  # without scripts a browser shows it as an image, too
    chart.x_labels = [_short(each.prompt) for each in measured]
    chart.add("time to first token, ms", [_bar(each.first_ms) for each in measured])
    chart.add("tokens/s", [_bar(each.rate) for each in measured], secondary=True)
    path.write_bytes(chart.render(disable_xml_declaration=False))


def _bar(spread: Spread | None) -> object:
    if spread is None:
        return None
    return {"value": spread.median, "ci": {"low": spread.least, "high": spread.greatest}}


def _short(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= LABEL_CHARACTERS else f"{line[: LABEL_CHARACTERS - 1]}…"
