"""``rkllm destroy``."""

from __future__ import annotations

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import talks


@click.command()
@talks
def command(client: Client) -> None:
    """Unload the model."""
    client.call("rkllm.destroy")
