"""``rkllm llama``: the libllama that ``twistd rkllm --library llama`` opens."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import click

from rkllm_twisted.cli.command_group import debug_option
from rkllm_twisted.cpu import LLAMA, libllama
from rkllm_twisted.cpu.packages import fetch_libllama, unpack_libllama


@click.group()
@debug_option
def command() -> None:
    """Install llama.cpp's library, or say which one is used."""


@command.command()
@debug_option
@click.argument("tarball", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--to", metavar="FOLDER", help="Where to put it, instead of the user's own folder.")
def install(tarball: str | None, to: str | None) -> None:
    """Put a libllama where the daemon looks for one: fetched with npm, or from TARBALL."""
    folder = Path(to).absolute() if to else libllama.user_folder(os.environ)
    if tarball is None:
        fetch_libllama(platform.machine(), folder, _say)
    else:
        unpack_libllama(Path(tarball), folder)
    _say(f"Opened    {_backend(str(folder))}")


@command.command()
@debug_option
@click.option("--llama", metavar="PATH", envvar=libllama.VARIABLE, help="As twistd rkllm has it.")
def show(llama: str | None) -> None:
    """Open the libllama that the daemon would use, and say which it is."""
    click.echo(_backend(llama))


def _say(line: str) -> None:
    click.echo(line, err=True)


def _backend(named: str | None) -> str:
    """Return the runtime's description of itself, which is asked in another process.

    :raises LibraryError: there is no libllama, or it cannot be used.
    """
    from rkllm_twisted.runtime.probe import probe  # noqa: PLC0415 - takes a while

    libllama.choose(named)
    return probe(LLAMA, None, os.environ).version.backend
