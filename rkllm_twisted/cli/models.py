"""``rkllm models``: the models that the daemon has by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.completion import complete_model
from rkllm_twisted.cli.connected import dump, json_option, with_client
from rkllm_twisted.cli.terminal import printable, show_table, waiting_long

_GB, _MB, _KB = 1e9, 1e6, 1e3


@click.command()
@with_client
@json_option
@click.option("--digest", is_flag=True, help="Show NAME's SHA-256; reads the whole file.")
@click.argument("name", required=False, shell_complete=complete_model)
def command(client: Client, as_json: bool, digest: bool, name: str | None) -> None:
    """List the models in the daemon's --model-dir, or show NAME.

    With --json: the result of models.list or models.show.
    """
    if digest and name is None:
        raise click.UsageError("--digest needs the NAME of a model.")
    if name is None:
        listing = client.call("models.list")
        if as_json:
            print(dump(listing))
        else:
            _list(listing)
        return
    with waiting_long("Reading the file" if digest else "Looking at the model"):
        model = client.call("models.show", {"model": name, "digest": digest})
    if as_json:
        print(dump(model))
    else:
        show_table(_rows(model))


def _list(listing: Mapping[str, Any]) -> None:
    """Usable models as a table, then the others with their reasons."""
    if listing["models"]:
        heading = ("NAME", "KIND", "CONTEXT", "SIZE", "MODIFIED", "")
        show_table([heading, *map(_row, listing["models"])])
    for model in listing["models"]:
        for problem in model["problems"]:
            print(printable(f"{model['name']}: {problem}"))
    for problem in listing["problems"]:
        print(printable(problem))


def _row(model: Mapping[str, Any]) -> tuple[str, ...]:
    state = "loaded" if model["loaded"] else "cannot be loaded" if model["problems"] else ""
    return (
        model["name"],
        model["kind"],
        _text(model["context"]),
        _size(model["size"]),
        model["modified"][:10],
        state,
    )


def _rows(model: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Return the known facts of a model; the others are left out."""
    for name, value in model.items():
        if value in (None, [], {}) or name == "template":
            continue
        yield name, _size(value) if name == "size" else _text(value)
    if model["template"]:
        yield "template", f"{len(model['template'])} characters; --json has it"


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _size(size: float) -> str:
    """A size as disks' makers count it."""
    for unit, name in ((_GB, "GB"), (_MB, "MB"), (_KB, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
