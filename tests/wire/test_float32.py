"""The shortest decimals of float32, by each algorithm."""

from __future__ import annotations

import math
import random
import struct
from array import array
from collections.abc import Sequence

import pytest

from rkllm_twisted.wire.float32 import shortest


def by_writing(value: float) -> float:
    """Find the shortest form by writing out each precision."""
    least = 1 if abs(value) < 2.0**-126 else 6
    for digits in range(least, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= 3.4028235677973366e38 and array("f", [short])[0] == value:
            return short
    return value


def assert_shortest(numbers: Sequence[float]) -> None:
    """Compare with the slow way, including the signs of zeros."""
    values = array("f", numbers)
    expected = [by_writing(value) for value in values]
    assert struct.pack(f"{len(values)}d", *shortest(values)) == struct.pack(
        f"{len(values)}d", *expected
    )


def test_every_power_of_two() -> None:
    """Their neighbours are not equally far, the one thing that could make fewer digits do."""
    assert_shortest([sign * 2.0**n for n in range(-149, 128) for sign in (1, -1)])


@pytest.mark.parametrize("kind", ["bits", "sizes", "decimals", "logits"])
def test_many_at_once(kind: str) -> None:
    """The numbers have any bits, any size, few digits, or typical values."""
    chance = random.Random(kind)
    makers = {
        "bits": lambda: struct.unpack("f", struct.pack("I", chance.randrange(0x7F800000)))[0],
        "sizes": lambda: chance.choice((1, -1)) * 10 ** chance.uniform(-15, 11),
        "decimals": lambda: chance.randrange(10**9) / 10 ** chance.randrange(16),
        "logits": lambda: chance.gauss(0, 3),
    }
    assert_shortest([makers[kind]() for _ in range(20_000)])


@pytest.mark.parametrize("edge", [1e-13, 1e-5, 0.1, 1, 10, 1e5, 999_999.94, 1e6, 1e9])
def test_where_one_way_ends_and_the_other_begins(edge: float) -> None:
    """The numbers are the decades' bounds and their neighbours."""
    bits = struct.unpack("I", struct.pack("f", edge))[0]
    around = [struct.unpack("f", struct.pack("I", bits + step))[0] for step in range(-50, 51)]
    assert_shortest(around)


def test_what_has_no_digits_stays() -> None:
    """Zeros keep their sign; the encoder handles NaN and the infinities."""
    found = shortest(array("f", [0.0, -0.0, math.inf, -math.inf, math.nan, 0.9]))
    assert struct.pack("2d", *found[:2]) == struct.pack("2d", 0.0, -0.0)
    assert found[2:4] == [math.inf, -math.inf]
    assert math.isnan(found[4])
    assert found[5] == 0.9
    assert shortest(array("f")) == []
