"""float32 -> the decimal with the fewest digits that reads back to it: 0.9, not 0.8999999761581421.

A result may have hundreds of thousands of logits. Most are rounded with arithmetic, in a third of
the time that formatting and parsing takes (docs/performance/).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import repeat

#: 6 decimal digits survive a float32 without loss, 9 tell any two apart.
_DIGITS = (6, 7, 8, 9)
_SMALLEST_NORMAL = 2.0**-126
#: The decades whose numbers are rounded with arithmetic: up to 10**22 a power of ten is exact in a
#: double, and so the quotient of a whole number and such a power is the double that its decimal is.
_EXPONENTS = range(-13, 6)
_BOUNDS = [float(f"1e{exponent}") for exponent in (*_EXPONENTS, _EXPONENTS.stop)]
#: Digits -> for each place among the bounds, what makes that many digits a whole number.
_SCALES: Mapping[int, Sequence[float]] = {
    digits: [math.nan, *(10.0 ** (digits - 1 - exponent) for exponent in _EXPONENTS)]
    for digits in _DIGITS
}
#: Added and taken away again it rounds to a whole number, half to even: the double's last bit is 1.
_TO_INTEGER = 1.5 * 2.0**52


def shortest(values: array[float]) -> list[float]:
    """Find the doubles with the fewest decimals that read back to the same float32.

    :returns: the doubles; NaN and the infinities are unchanged.
    """
    found = list(values)
    decades = list(map(bisect_right, repeat(_BOUNDS), map(abs, values)))
    usual, others = _sort_out(decades)
    # Numbers that differ in n digits differ in n + 1, so 8 digits do half of the work. (The uneven
    # distances around a power of two could be an exception; for float32's they are not.)
    left, failed = _settle(found, values, usual, _scales(decades, usual, 8))
    _settle(found, values, failed, _scales(decades, failed, 9))
    for digits in (7, 6):
        left, _ = _settle(found, values, left, _scales(decades, left, digits))
    _settle_as_text(found, values, [i for i in others if values[i] and math.isfinite(values[i])])
    return found


def _sort_out(decades: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the places of the values between the bounds, and those of the others."""
    everywhere = range(len(decades))
    if decades and min(decades) > 0 and max(decades) < len(_BOUNDS):  # nearly always
        return everywhere, ()
    usual = [i for i in everywhere if 0 < decades[i] < len(_BOUNDS)]
    return usual, [i for i in everywhere if not 0 < decades[i] < len(_BOUNDS)]


def _scales(decades: Sequence[int], which: Sequence[int], digits: int) -> list[float]:
    scales = _SCALES[digits]
    return [scales[decades[i]] for i in which]


def _settle(
    found: list[float], values: array[float], which: Sequence[int], scales: list[float]
) -> tuple[list[int], list[int]]:
    """Round values to a number of digits; keep those that read back to the same float32.

    :returns: the places of these values, and those of the others.
    """
    ups = zip(which, scales, strict=True)
    rounded = [(values[i] * scale + _TO_INTEGER - _TO_INTEGER) / scale for i, scale in ups]
    return _take_over(found, values, which, rounded)


def _take_over(
    found: list[float], values: array[float], which: Sequence[int], rounded: list[float]
) -> tuple[list[int], list[int]]:
    survived, failed = [], []
    for i, value, read_back in zip(which, rounded, array("f", rounded), strict=True):
        if read_back == values[i]:
            found[i] = value
            survived.append(i)
        else:
            failed.append(i)
    return survived, failed


def _settle_as_text(found: list[float], values: array[float], which: Sequence[int]) -> None:
    """Do the same by formatting and parsing: slower, but for values of any size."""
    subnormal = [i for i in which if abs(values[i]) < _SMALLEST_NORMAL]
    for digits in _DIGITS:
        rounded = [float(f"{values[i]:.{digits}g}") for i in which]
        _, which = _take_over(found, values, which, rounded)
    for i in subnormal:
        found[i] = _shortest_subnormal(values[i])


def _shortest_subnormal(value: float) -> float:
    """Return the shortest decimal of a subnormal number: 1 digit may be enough."""
    candidates = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next(short for short in candidates if array("f", [short])[0] == value)
