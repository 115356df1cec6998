"""``rkllm status``, and its live view."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.board.sensors import read
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.cli.connected import dump, json_option, watch_options, with_client
from rkllm_twisted.cli.status_view import StatusView
from rkllm_twisted.cli.terminal import console, is_terminal


@click.command()
@with_client
@watch_options
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
@json_option
def command(client: Client, watch: bool, interval: float, root: Path, as_json: bool) -> None:
    """Show the state of the daemon, queue, NPU and memory.

    With --watch, each update is one line if --json is given or stdout is not a terminal.
    """
    files = RootedFiles(root)
    if not watch:
        snapshot = _update(client, files)
        print(dump(snapshot.to_json()) if as_json else _page(snapshot))
    elif as_json or not is_terminal(sys.stdout):
        for snapshot in _updates(client, files, interval):
            print(dump(snapshot.to_json()) if as_json else _line(snapshot), flush=True)
    else:
        _live(_updates(client, files, interval))


def _update(client: Client, files: RootedFiles) -> StatusView:
    status = client.call("server.status")
    return StatusView(status, read(files, status.get("pid")), time.monotonic())


def _updates(client: Client, files: RootedFiles, interval: float) -> Iterator[StatusView]:
    snapshot = None
    while True:
        snapshot = _update(client, files).after(snapshot)
        yield snapshot
        time.sleep(interval)


def _page(snapshot: StatusView) -> str:
    return "\n".join(f"{name:<12} {text}" for name, text in snapshot.rows().items())


def _line(snapshot: StatusView) -> str:
    return "; ".join(f"{name} {text}" for name, text in snapshot.rows().items())


def _live(snapshots: Iterator[StatusView]) -> None:
    from rich.live import Live  # noqa: PLC0415 - only the live view needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=console(), auto_refresh=False, screen=False) as live:
        for snapshot in snapshots:
            table = Table.grid(padding=(0, 2))
            for name, text in snapshot.rows().items():
                table.add_row(Text(name, style="bold"), Text(text))
            live.update(table, refresh=True)
