"""A picture is decoded in a process that cannot take more than it may."""

from __future__ import annotations

import subprocess

import pytest
from pictures import Image, encoded, picture

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.offload import picture as decoding
from rkllm_twisted.offload.picture import pixels_of
from rkllm_twisted.offload.picture_worker import CPU_LIMIT_VARIABLE
from rkllm_twisted.vision.decode import PictureError
from rkllm_twisted.vision.pixels import Fit, Preparation, Resample, prepared

SMALL = Preparation(5, 3, Fit.STRETCH, Resample.SMOOTH)


def test_the_process_returns_the_pixels() -> None:
    data = picture(7, 9, (1, 2, 3), "WEBP", lossless=True)
    assert pixels_of(data, SMALL) == prepared(data, SMALL) == b"\1\2\3" * 15


def test_its_sentence_comes_back() -> None:
    with pytest.raises(
        PictureError, match="^is a GIF picture, and only JPEG, PNG and WebP pictures are read$"
    ):
        pixels_of(b"GIF89a", SMALL)


def test_few_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever method asks: chat.complete and vision.encode share the places."""
    left: list[int] = []

    def run(*_: object) -> subprocess.CompletedProcess[bytes]:
        taken = iter(lambda: decoding.PLACES.acquire(blocking=False), False)
        left.append(sum(taken))
        decoding.PLACES.release(left[-1])
        return subprocess.CompletedProcess((), 0, b"pixels")

    monkeypatch.setattr(decoding, "_run", run)
    assert [pixels_of(b"", SMALL) for _ in range(2)] == [b"pixels"] * 2
    assert left == [decoding.MAX_AT_ONCE - 1] * 2


def test_too_many_bytes_are_refused_here() -> None:
    with pytest.raises(PictureError, match="has 20000001 bytes"):
        pixels_of(bytes(20_000_001), SMALL)


def test_the_kernel_ends_a_picture_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CPU_LIMIT_VARIABLE, "0.001")
    with pytest.raises(PictureError, match="takes too long to decode"):
        pixels_of(encoded(Image.new("RGB", (3000, 3000))), SMALL)


def test_without_pillow_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "PIL.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ExtraMissingError, match=r"'rkllm-twisted\[vision\]' installs it"):
        pixels_of(picture(), SMALL)
