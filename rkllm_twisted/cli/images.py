"""Images on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.client_core.images import image_part


def _read(context: click.Context, _: click.Parameter, files: Sequence[str]) -> Any:
    """Read images from their files, before the client connects."""
    try:
        return [image_part(file) for file in files]
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}", context) from None
    except ValueError as error:
        raise click.UsageError(str(error).rstrip("."), context) from None


def named_file(name: str) -> Path:
    """Return the path that a user has typed; terminals quote one that is dropped on them."""
    path = Path(name).expanduser()
    if path.exists():
        return path
    with suppress(ValueError):  # a quote that is not closed
        words = shlex.split(name)
        if len(words) == 1:
            return Path(words[0]).expanduser()
    return path


#: ``--image FILE``, any number of times; its value is the parts of a message.
image_option = click.option(
    "--image",
    "images",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    multiple=True,
    callback=_read,
    help="Show the model a JPEG, PNG or WebP picture; may be given several times.",
)
