"""Text files that stand for vision encoders, for ``--vision-library scripted``."""

from __future__ import annotations

from pathlib import Path


def encoder_script(directory: Path, *lines: str, name: str = "encoder.rknn") -> str:
    """Write a small encoder with further lines, and return its path."""
    small = ("width 8", "height 4", "tokens 4", "row_width 6")
    path = directory / name
    path.write_text("\n".join(("#!rknn-script 1", *small, *lines, "")))
    return str(path)
