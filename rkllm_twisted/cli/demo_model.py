"""``rkllm demo-model``."""

from __future__ import annotations

import click

from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cpu import demo_model


@click.command()
@debug_option
def command() -> None:
    """Print the path of the bundled model."""
    click.echo(demo_model())
