"""``rkllm fleet key``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("key")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Make the key of a board or a front, and print its public half.

    FILE is new, and only its owner can read it. The router admits a member whose public half is in
    the file KEYS/ROLE/NAME there.
    """
    from rkllm_twisted.fleet import keys  # noqa: PLC0415 - it needs the extra

    print(keys.make(file))
