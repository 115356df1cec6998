"""What commands that talk to the daemon have in common."""

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
    help="Path of the daemon's socket.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up, and cancel, when an answer or its next part takes longer.",
)
model_option = click.option(
    "--model",
    type=click.Path(),
    help="Load this model first (a file on the daemon's machine, this one).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def with_client(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command of a function whose first parameter is a connected client."""

    @wraps(function)
    def command(*args: Any, socket_path: str, timeout: float | None, **kwargs: Any) -> Any:
        with Client(socket_path, timeout=timeout) as client:
            return function(client, *args, **kwargs)

    found: Callable[..., Any] = debug_option(timeout_option(socket_option(command)))
    return found


def params_option(what: str) -> Callable[[Any], Any]:
    """Add ``-p NAME=VALUE`` for the fields of a structure.

    :param what: the structure, for the help.
    """
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_assignments,
        help=f"A field of {what}; VALUE is JSON, or text. May be given several times.",
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
    """A JSON value on one line, readable for people too."""
    return json.dumps(value, ensure_ascii=False)
