"""``rkllm methods``: the daemon's methods, as the daemon describes them."""

from __future__ import annotations

import difflib

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.completion import complete_method
from rkllm_twisted.cli.connected import dump, json_option, with_client
from rkllm_twisted.cli.terminal import show_table


@click.command()
@with_client
@json_option
@click.argument("name", required=False, shell_complete=complete_method)
def command(client: Client, as_json: bool, name: str | None) -> None:
    """List the daemon's methods, or explain NAME.

    Methods of third parties are among them. With --json: the OpenRPC document, or NAME's part.
    """
    document = client.call("rpc.discover")
    methods = {method["name"]: method for method in document["methods"]}
    if name is None:
        if as_json:
            print(dump(document))
        else:
            show_table([(each["name"], each.get("summary", "")) for each in methods.values()])
        return
    if name not in methods:
        close = " or ".join(difflib.get_close_matches(name, methods, 3))
        hint = f"; {close} is like it" if close else ""
        raise click.UsageError(f"There is no method {name}{hint}")
    if as_json:
        print(dump(methods[name]))
    else:
        print(f"{name}: {client.call('system.methodHelp', [name])}")
