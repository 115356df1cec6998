"""``python -m rkllm_twisted.contract``: checks everything and writes a report."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rkllm_twisted.contract.check import check_contract
from rkllm_twisted.errors import StartupError

#: Exit codes: an assumption is contradicted; nothing could be checked.
CONTRADICTED_EXIT, UNUSABLE_EXIT = 1, 2


@click.command()
@click.option("--library", help="librkllmrt.so's path, or cpu, as for twistd rkllm.")
@click.option("--abi", help="The runtime's release, as for twistd rkllm.")
@click.option("--model", required=True, help="The model to load; demo: the embedded runtime's.")
@click.option("--deadline", type=float, help="Seconds for each check.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default="board-report",
    show_default=True,
    help="Path of the report; .md and .json are added.",
)
def main(
    library: str | None, abi: str | None, model: str, deadline: float | None, report: Path
) -> None:
    """Check what the daemon assumes of librkllmrt, with a model, and write a report.

    The exit code is 1 if an assumption is contradicted, 2 if nothing could be checked.
    """
    try:
        holds = check_contract(library, abi, model, report, deadline)
    except StartupError as error:
        click.echo(str(error), err=True)
        sys.exit(UNUSABLE_EXIT)
    sys.exit(0 if holds else CONTRADICTED_EXIT)


if __name__ == "__main__":
    main()
