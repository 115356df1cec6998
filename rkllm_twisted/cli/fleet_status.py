"""``rkllm fleet status``, and its live view."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import attrs
import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import dump, json_option, watch_options, with_client
from rkllm_twisted.cli.fleet_view import HEADING, FleetView
from rkllm_twisted.cli.terminal import console, is_terminal, printable, show_table


@click.command("status")
@with_client
@watch_options
@json_option
def command(client: Client, watch: bool, interval: float, as_json: bool) -> None:
    """Show the boards of a fleet, and what waits for them.

    --socket is that of a front (twistd rkllm-fleet). With --watch, each update is one line if
    --json is given or stdout is not a terminal.
    """
    if not watch:
        view = _look(client)
        if as_json:
            print(dump(view.fleet))
        else:
            show_table([HEADING, *view.boards()])
            for line in (*view.problems(), view.summary()):
                print(printable(line))
    elif as_json or not is_terminal(sys.stdout):
        for view in _views(client, interval):
            print(dump(view.fleet) if as_json else view.line(), flush=True)
    else:
        _live(_views(client, interval))


def _look(client: Client) -> FleetView:
    status = client.call("server.status")
    if "fleet" not in status:
        raise click.ClickException(
            f"{client.path} is the socket of a daemon; name that of a front, which"
            " twistd rkllm-fleet serves, with --socket."
        )
    return FleetView(status["fleet"], time.monotonic())


def _views(client: Client, interval: float) -> Iterator[FleetView]:
    before = None
    while True:
        view = _look(client)
        yield attrs.evolve(view, earlier=before)
        before = view
        time.sleep(interval)


def _live(views: Iterator[FleetView]) -> None:
    from rich.console import Group  # noqa: PLC0415 - only the live view needs it
    from rich.live import Live  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=console(), auto_refresh=False, screen=False) as live:
        for view in views:
            table = Table.grid(padding=(0, 2))
            table.add_row(*(Text(name, style="bold") for name in HEADING))
            for row in view.boards():
                table.add_row(*map(Text, row))
            texts = map(Text, (*view.problems(), view.summary()))
            live.update(Group(table, *texts), refresh=True)
