"""Options and helpers of the commands that connect to the daemon."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import click

from rkllm_twisted.blocking import Client, default_socket
from rkllm_twisted.cli.command_group import debug_option

socket_option = click.option(
    "-s",
    "--socket",
    "socket_path",
    default=default_socket,
    show_default="$RKLLM_UDS_PATH or /tmp/rkllm.sock",
    type=click.Path(),
    help="The path of the daemon's socket.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Cancel when an answer, or the next part of it, takes longer.",
)
model_option = click.option(
    "--model",
    type=click.Path(),
    help="Load this model file first.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def with_client(function: Callable[..., Any]) -> Callable[..., Any]:
    """Connect a client, and pass it to the function as the first argument."""

    @wraps(function)
    def command(*args: Any, socket_path: str, timeout: float | None, **kwargs: Any) -> Any:
        with Client(socket_path, timeout=timeout) as client:
            return function(client, *args, **kwargs)

    decorated: Callable[..., Any] = debug_option(timeout_option(socket_option(command)))
    return decorated


def params_option(what: str) -> Callable[[Any], Any]:
    """Add ``-p NAME=VALUE`` for the fields of a structure.

    :param what: the name of the structure, for the help.
    """
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_assignments,
        help=f"A field of {what}; VALUE is JSON or text. Repeat it for more fields.",
    )


def _assignments(
    _: click.Context, __: click.Parameter, words: Sequence[str]
) -> Mapping[str, object]:
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE.")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def dump(value: object) -> str:
    """Return a value as one line of JSON, with non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False)
