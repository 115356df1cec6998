"""The pixels that an encoder takes are those of the vendor's demonstration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import Image, encoded, picture

from rkllm_twisted.vision.decode import PictureError
from rkllm_twisted.vision.pixels import GREY, Fit, Preparation, Resample, prepared


def bilinear(image: Any, width: int, height: int) -> Any:
    """OpenCV's INTER_LINEAR (imgproc, resize): pixel centres, edges repeated, no averaging."""

    def taps(size: int, wanted: int) -> tuple[Any, Any, Any]:
        at = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
        at = np.clip(at, 0, size - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, size - 1), at - low

    pixels = image.astype(np.float64)
    low, high, part = taps(image.shape[0], height)
    pixels = pixels[low] * (1 - part)[:, None, None] + pixels[high] * part[:, None, None]
    low, high, part = taps(image.shape[1], width)
    return pixels[:, low] * (1 - part)[:, None] + pixels[:, high] * part[:, None]


def squared(image: Any) -> Any:
    """The picture in the middle of a grey square."""
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), GREY[0], np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def ours(image: Any, **options: Any) -> Any:
    made = prepared(encoded(Image.fromarray(image)), Preparation(**options))
    return np.frombuffer(made, np.uint8).reshape(options["height"], options["width"], 3)


pictures = st.builds(
    lambda width, height, seed: np.random.default_rng(seed).integers(
        0, 256, (height, width, 3), np.uint8
    ),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(0, 2**32 - 1),
)
sizes = st.integers(1, 70)


@settings(max_examples=150, deadline=None)
@given(pictures, sizes, sizes)
def test_padding_is_within_one_level_of_the_formula(image: Any, width: int, height: int) -> None:
    expected = bilinear(squared(image), width, height)
    made = ours(image, width=width, height=height)
    assert np.abs(made - expected).max() <= 1.0001


@settings(max_examples=100, deadline=None)
@given(pictures, sizes, sizes)
def test_stretching_is_within_one_level_of_the_formula(image: Any, width: int, height: int) -> None:
    made = ours(image, width=width, height=height, fit=Fit.STRETCH)
    assert np.abs(made - bilinear(image, width, height)).max() <= 1.0001


def test_a_photograph_s_proportions_are_within_one_level() -> None:
    rng = np.random.default_rng(7)
    image = rng.integers(0, 256, (640, 1024, 3), np.uint8)
    made = ours(image, width=448, height=448)
    assert np.abs(made - np.rint(bilinear(squared(image), 448, 448))).max() <= 1


def test_the_square_around_a_picture_is_grey() -> None:
    image = np.zeros((10, 40, 3), np.uint8)
    made = ours(image, width=40, height=40)
    assert (made[:15] == 128).all()
    assert (made[15:25] == 0).all()
    assert (made[25:] == 128).all()


def test_a_long_and_thin_picture_needs_no_square() -> None:
    made = prepared(picture(60_000, 2, (1, 2, 3)), Preparation(64, 64))
    assert len(made) == 64 * 64 * 3


@pytest.mark.parametrize("fit", Fit)
def test_smooth_averages(fit: Fit) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2] = 255  # without averaging, every fourth column may be all that is seen
    made = ours(image, width=16, height=16, fit=fit, resample=Resample.SMOOTH)
    assert (np.abs(made[:, 2:-2].astype(int) - 127) <= 3).all()


def test_smooth_pads_with_grey_too() -> None:
    made = ours(np.zeros((10, 40, 3), np.uint8), width=8, height=8, resample=Resample.SMOOTH)
    assert (made[:3] == 128).all()
    assert (made[3:5] == 0).all()
    assert (made[5:] == 128).all()


def test_what_is_no_picture_has_no_pixels() -> None:
    with pytest.raises(PictureError):
        prepared(b"GIF89a", Preparation(8, 8))
