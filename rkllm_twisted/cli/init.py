"""``rkllm init``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.completion import complete_model_or_file
from rkllm_twisted.cli.connected import ANY_PATH, params_option, with_client
from rkllm_twisted.cli.load import load


@click.command()
@with_client
@params_option("RKLLMParam, such as max_context_len=4096")
@click.argument("model", type=ANY_PATH, shell_complete=complete_model_or_file)
def command(client: Client, params: Mapping[str, Any], model: str) -> None:
    """Load MODEL, a path or a name that `rkllm models` lists; it replaces the loaded model."""
    begun = time.monotonic()
    load(client, model, params)
    click.echo(f"Loaded {model} in {time.monotonic() - begun:.1f} s.")
