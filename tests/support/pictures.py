"""Pictures for tests, made here."""

from __future__ import annotations

import io
from typing import Any

import pytest

Image = pytest.importorskip("PIL.Image")


def picture(
    width: int = 6, height: int = 4, colour: Any = (255, 0, 0), form: str = "PNG", **options: Any
) -> bytes:
    """Return an encoded picture of one colour."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[len(colour)]
    return encoded(
        Image.new(mode, (width, height), colour if len(colour) > 1 else colour[0]), form, **options
    )


def encoded(image: Any, form: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of an image's file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
