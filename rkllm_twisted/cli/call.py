"""``rkllm call``: any method."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.completion import complete_method
from rkllm_twisted.cli.connected import ANY_PATH, dump, with_client


def _json(context: click.Context, _: click.Parameter, text: str | None) -> Any:
    """Read the parameters from the argument, the file or stdin, before the client connects."""
    file: str | None = context.params.get("file")
    if text is not None and file is not None:
        raise click.UsageError("Give the parameters as an argument or with --file, not both")
    try:
        if text == "-" or file == "-":
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        elif file is not None:
            text = Path(file).read_text("utf-8-sig")
        value = json.loads(text) if text is not None else None
    except ValueError as error:
        raise click.BadParameter(f"This is not JSON: {error}.") from None
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}.") from None
    if value is not None and not isinstance(value, list | dict):
        raise click.BadParameter("Parameters must be a JSON array or object.")
    return value


@click.command()
@with_client
@click.option(
    "-f",
    "--file",
    type=ANY_PATH,
    is_eager=True,
    help="Read the parameters from a file; - is stdin.",
)
@click.argument("method", shell_complete=complete_method)
@click.argument("params", required=False, metavar="[JSON]", callback=_json)
def command(
    client: Client,
    file: str | None,  # noqa: ARG001 - _json has read it
    method: str,
    params: Any,
) -> None:
    """Call METHOD with JSON parameters and print each result as a line of JSON.

    If JSON is -, the parameters are read from stdin.
    A method that streams prints one line for each result.
    """
    with closing(client.stream(method, params)) as results:
        for result in results:
            print(dump(result), flush=True)
