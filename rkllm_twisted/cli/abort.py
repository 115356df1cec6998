"""``rkllm abort``."""

from __future__ import annotations

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import with_client


@click.command()
@with_client
def command(client: Client) -> None:
    """Stop the current run, whichever client has started it."""
    client.call("rkllm.abort")
