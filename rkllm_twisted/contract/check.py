"""Checks all assumptions, printing results as they come, and writes the report."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rkllm_twisted.contract.report import as_json, as_markdown, circumstances, counts
from rkllm_twisted.contract.runner import CheckResult, check_all
from rkllm_twisted.contract.verdict import CONTRADICTED
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import StartupError
from rkllm_twisted.runtime.probe import probe


def check_contract(
    library: str | None, abi: str | None, model: str, report: Path, deadline: float | None = None
) -> bool:
    """Check all assumptions, print each result, and write the report.

    :param library: as for ``twistd rkllm``.
    :param model: a path, or ``demo`` for the demonstration model of the embedded runtime.
    :param report: the report's path without its suffix: ``.md`` and ``.json`` are written.
    :param deadline: see :func:`check_all`.
    :returns: True if no assumption is contradicted.
    :raises StartupError: the library or the model cannot be used.
    """
    runtime = probe(library, abi, os.environ).version
    path = demo_model() if model == "demo" else Path(model).absolute()
    if not path.is_file():
        raise StartupError(f"There is no model {path}.")
    where = circumstances(runtime, str(path))
    click.echo(f"Checking {runtime.library} with {path}")
    results = check_all(runtime.library, abi, str(path), deadline, show)
    try:
        Path(f"{report}.md").write_text(as_markdown(where, results))
        Path(f"{report}.json").write_text(as_json(where, results))
    except OSError as error:
        raise StartupError(f"The report {report} cannot be written: {error.strerror}.") from None
    counted = ", ".join(f"{number} {verdict}" for verdict, number in counts(results).items())
    click.echo(f"{counted}; the report is {report}.md and {report}.json")
    return not counts(results)[CONTRADICTED]


def show(result: CheckResult) -> None:
    """Print a result."""
    click.echo(f"{result.verdict.verdict:18} {result.assumption.name}: {result.verdict.seen}")
