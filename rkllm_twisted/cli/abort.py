"""``rkllm abort``."""

from __future__ import annotations

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import with_client


@click.command()
@with_client
def command(client: Client) -> None:
    """Stop the run under way, whoever asked for it."""
    client.call("rkllm.abort")
