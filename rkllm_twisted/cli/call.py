"""``rkllm call``: any method."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.completion import complete_method
from rkllm_twisted.cli.connected import dump, with_client


def _json(_: click.Context, __: click.Parameter, text: str | None) -> Any:
    """Read the JSON of the parameters."""
    try:
        value = json.loads(text) if text is not None else None
    except ValueError as error:
        raise click.BadParameter(f"This is not JSON: {error}.") from None
    if value is not None and not isinstance(value, list | dict):
        raise click.BadParameter("Parameters must be a JSON array or object.")
    return value


@click.command()
@with_client
@click.argument("method", shell_complete=complete_method)
@click.argument("params", required=False, metavar="[JSON]", callback=_json)
def command(client: Client, method: str, params: Any) -> None:
    """Call METHOD with JSON parameters and print each result as a line of JSON.

    A method that streams prints one line for each result.
    """
    with closing(client.stream(method, params)) as results:
        for result in results:
            print(dump(result), flush=True)
