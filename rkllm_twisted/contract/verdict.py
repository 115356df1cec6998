"""What comes of checking an assumption."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from rkllm_twisted.contract.raw_library import RawLibrary

CONFIRMED, CONTRADICTED, UNTESTED = "confirmed", "contradicted", "not testable here"


class NotTestable(Exception):
    """The assumption cannot be checked with this library or model; the text says why."""


@attrs.frozen
class Verdict:
    """What was seen.

    :param verdict: :data:`CONFIRMED`, :data:`CONTRADICTED` or :data:`UNTESTED`.
    :param seen: in words, with figures.
    """

    verdict: str
    seen: str


def judged(holds: bool, seen: str) -> Verdict:
    """Make a verdict of what was seen."""
    return Verdict(CONFIRMED if holds else CONTRADICTED, seen)


@attrs.frozen
class Assumption:
    """Something that the code takes for granted, or copes with.

    :param name: short, for the report.
    :param text: what is assumed, one sentence.
    :param otherwise: what it means for the daemon if it is not so.
    :param check: looks; None where no program can, and then ``otherwise`` says why.
    """

    name: str
    text: str
    otherwise: str
    check: Callable[[RawLibrary], Verdict] | None = attrs.field(repr=False)
