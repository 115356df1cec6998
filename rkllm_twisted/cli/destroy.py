"""``rkllm destroy``."""

from __future__ import annotations

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import with_client


@click.command()
@with_client
def command(client: Client) -> None:
    """Unload the model."""
    client.call("rkllm.destroy")
