"""The plot of ``rkllm bench``: an SVG file, drawn by pygal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rkllm_twisted.cli.bench_figures import PromptFigures, Spread
from rkllm_twisted.errors import StartupError

#: Characters of a prompt that stand below its bars.
SHORT = 24


def pygal() -> Any:
    """Give the library that draws.

    :raises StartupError: it is not installed.
    """
    try:
        import pygal  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, needed here only
    except ImportError:
        raise StartupError(
            "--plot needs pygal; install it with: pip install 'rkllm-twisted[plot]'"
        ) from None
    return pygal


def plot(measured: Sequence[PromptFigures], path: Path, title: str) -> None:
    """Draw how soon and how fast each prompt was answered, with the spread of the repeats.

    :raises StartupError: pygal is not installed.
    """
    chart = pygal().Bar(title=title, show_legend=True, legend_at_bottom=True, x_label_rotation=20)
    chart.config.js = []  # no script, so that it is a picture wherever it is shown
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
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"
