"""``rkllm init``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import ANY_PATH, params_option, with_client
from rkllm_twisted.cli.load import load


@click.command()
@with_client
@params_option("RKLLMParam, such as max_context_len=4096")
@click.argument("path", type=ANY_PATH)
def command(client: Client, params: Mapping[str, Any], path: str) -> None:
    """Load the model at PATH; it replaces the loaded model."""
    begun = time.monotonic()
    load(client, path, params)
    click.echo(f"Loaded {path} in {time.monotonic() - begun:.1f} s.")
