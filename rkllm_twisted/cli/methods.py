"""``rkllm methods``: what the daemon can do, in its own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from rich.table import Table
from rich.text import Text

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import dump, json_option, with_client
from rkllm_twisted.cli.naming import complete_method
from rkllm_twisted.cli.openrpc_document import Document, Json
from rkllm_twisted.cli.terminal import console


@click.command()
@with_client
@json_option
@click.argument("name", required=False, shell_complete=complete_method)
def command(client: Client, as_json: bool, name: str | None) -> None:
    """List the daemon's methods, or explain NAME.

    Methods of third parties are among them. With --json: the OpenRPC document, or NAME's part.
    """
    document = Document(client.call("rpc.discover"))
    if name is None:
        if as_json:
            print(dump(document.content))
        else:
            _show([(method["name"], method.get("summary", "")) for method in document.methods()])
        return
    method = document.method(name)
    if method is None:
        like = " or ".join(document.like(name))
        raise click.UsageError(f"There is no method {name}{f'; {like} is like it' if like else ''}")
    if as_json:
        print(dump(method))
    else:
        _explain(document, method)


def _show(rows: Iterable[Iterable[str]]) -> None:
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*map(Text, row))
    screen = console()
    with screen.capture() as drawn:
        screen.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def _explain(document: Document, method: Json) -> None:
    print(f"{method['name']}: {method.get('summary', '')}")
    if method.get("description"):
        print(f"\n{method['description']}")
    params = [document.follow(param) for param in method.get("params", ())]
    result = document.follow(method.get("result") or {}).get("schema")
    errors = [document.follow(error) for error in method.get("errors", ())]
    _section("Parameters", [_param(document, param) for param in params])
    _section(f"Result: {document.type_of(result)}", list(document.fields(result)))
    _section("Errors", [(str(error["code"]), error["message"]) for error in errors])
    for name, schema in document.structures([*(p.get("schema") for p in params), result]).items():
        _section(name, list(document.fields(schema)))


def _section(heading: str, rows: Sequence[Iterable[str]]) -> None:
    if rows:
        print(f"\n{heading}")
        _show(rows)


def _param(document: Document, param: Json) -> tuple[str, str, str]:
    kind = document.type_of(param.get("schema"))
    need = ", needed" if param.get("required") else ""
    return param["name"], f"{kind}{need}", param.get("description") or param.get("summary") or ""
