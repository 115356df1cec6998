"""``rkllm fleet router-config``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)
#: Only the router's own user may read its key.
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, readable=False)


@click.command("router-config")
@click.argument("directory", type=_PATH)
@click.option("--keys", type=_PATH, help="The directory of public keys.  [default: DIRECTORY/keys]")
@click.option("--port", type=int, default=9000, show_default=True, help="For boards and fronts.")
@click.option("--interface", default="0.0.0.0", show_default=True, help="Address to listen at.")
@click.option("--socket", type=_PATH, help="A UNIX socket for fronts of the router's host.")
@click.option("--certificate", type=_FILE, help="A PEM file with the chain, for TLS.")
@click.option("--private-key", type=_FILE, help="Its key.  [default: in the same file]")
def command(directory: Path, keys: Path | None, **options: Any) -> None:
    """Write the configuration of a fleet's router into DIRECTORY.

    The router is Crossbar, a program of its own: crossbar start --cbdir DIRECTORY/.crossbar
    """
    from rkllm_twisted.fleet.router_config import RouterSettings, write  # noqa: PLC0415 - slow

    settings = RouterSettings(keys or directory / "keys", **options)
    path = write(directory, settings)
    click.echo(f"Written: {path}")
    click.echo(f"Public keys go to: {settings.keys}/board/NAME, front/NAME and admin/NAME")
    if settings.certificate is None:
        click.echo("Without --certificate what boards say can be read and changed on the network.")
