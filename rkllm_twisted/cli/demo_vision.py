"""``rkllm demo --vision``: from a JPEG to words, with rows that are made up."""

from __future__ import annotations

from pathlib import Path

import click

from rkllm_twisted.blocking import Client

#: The bundled model's width is 192. Its encoder does not exist: this text stands for one.
SCRIPT = """#!rknn-script 1
width 448
height 448
tokens 16
row_width 192
"""
#: The bundled model knows no texts around a picture; any do.
TAGS = {"start": "<", "content": ".", "end": ">"}
QUESTION = "What is this?"
#: The pictures that are asked about: Pillow's names of colours.
COLOURS = ("red", "blue")
#: The most tokens of an answer.
MAX_TOKENS = 40


def show(client: Client, model: Path, directory: Path) -> None:
    """Ask about two pictures.

    :param directory: for the pictures and the encoder's file.
    :raises click.ClickException: Pillow is not installed.
    """
    encoder = directory / "encoder.rknn"
    encoder.write_text(SCRIPT)
    loaded = client.load_encoder(encoder, tags=TAGS)
    client.init(model, top_k=1, max_context_len=512)
    click.echo(
        f"Encoder   {loaded.width} x {loaded.height} pixels, {loaded.tokens} tokens of"
        f" {loaded.row_width} numbers, librknnrt {loaded.version}"
    )
    for colour in COLOURS:
        picture = paint(directory, colour)
        content = [
            {"type": "text", "text": QUESTION},
            {"type": "image", "path": str(picture)},
        ]
        answer = client.chat([{"role": "user", "content": content}], max_new_tokens=MAX_TOKENS)
        click.echo(f"\nAsking    {QUESTION} ({picture.name}, {picture.stat().st_size} bytes)")
        click.echo(f"          {' '.join(answer.text.split())}")
        click.echo(f"          {answer.usage.prompt_tokens} tokens of the prompt")
    click.echo(
        "\nThese words are made up: the bundled model has never seen a picture, and the library in"
        "\nplace of librknnrt makes its rows of the mean colours. The way is real: JPEG, pixels,"
        "\nthe encoder's process, rows, prompt. docs/vision.md has the one with a real encoder."
    )


def paint(directory: Path, colour: str) -> Path:
    """Write a JPEG of one colour.

    :raises click.ClickException: Pillow is not installed.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - an extra
    except ImportError:
        raise click.ClickException(
            "Pictures need Pillow: pip install 'rkllm-twisted[vision]'"
        ) from None
    path = directory / f"{colour}.jpg"
    Image.new("RGB", (640, 480), colour).save(path)
    return path
