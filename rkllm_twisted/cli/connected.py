"""Options and helpers of the commands that connect to the daemon."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import click

from rkllm_twisted.blocking import Client, default_socket
from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cli.completion import complete_model_or_file

#: A path that the daemon or ``connect()`` judges. This user need not have the right to read it.
ANY_PATH = click.Path(readable=False)

socket_option = click.option(
    "-s",
    "--socket",
    "socket_path",
    default=default_socket,
    show_default="$RKLLM_UDS_PATH or /tmp/rkllm.sock",
    type=ANY_PATH,
    help="The path of the daemon's socket.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Cancel when an answer, or the next part of it, takes longer.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--model`` and ``--reload``."""
    model = click.option(
        "--model",
        type=ANY_PATH,
        shell_complete=complete_model_or_file,
        help="Load this model first, a path or a name, unless it is loaded.",
    )
    reload = click.option("--reload", is_flag=True, help="Load --model even if it is loaded.")
    decorated: Callable[..., Any] = model(reload(function))
    return decorated


def watch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--watch`` and ``--interval``."""
    watch = click.option("-w", "--watch", is_flag=True, help="Update the view until Ctrl-C.")
    interval = click.option(
        "--interval",
        type=click.FloatRange(min=0.05),
        default=1.0,
        show_default=True,
        help="Seconds between two updates.",
    )
    decorated: Callable[..., Any] = watch(interval(function))
    return decorated


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
        help=f"A field of {what}; NAME may be dotted, VALUE is JSON or text. Repeatable.",
    )


def _assignments(
    _: click.Context, __: click.Parameter, words: Sequence[str]
) -> Mapping[str, object]:
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not all(name.split(".")):
            raise click.BadParameter(f"{word!r} is not NAME=VALUE.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        _assign(fields, name, value)
    return fields


def _assign(fields: dict[str, Any], name: str, value: object) -> None:
    """Set a field by its dotted name, such as ``sampling_params.top_k``."""
    *outer, last = name.split(".")
    for part in outer:
        inner = fields.setdefault(part, {})
        if not isinstance(inner, dict):
            raise click.BadParameter(f"{part!r} has a value already, so {name!r} cannot be set.")
        fields = inner
    fields[last] = value


def dump(value: object) -> str:
    """Return a value as one line of JSON, with non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False)
