"""The verdict on an assumption."""

from __future__ import annotations

import attrs

CONFIRMED, CONTRADICTED, UNTESTED = "confirmed", "contradicted", "not testable here"


class NotTestable(Exception):
    """The assumption cannot be checked with this library or model; the text says why."""


@attrs.frozen
class Verdict:
    """The verdict on an assumption, and what it is based on.

    :param verdict: :data:`CONFIRMED`, :data:`CONTRADICTED` or :data:`UNTESTED`.
    :param seen: what the check saw, in words, with figures.
    """

    verdict: str
    seen: str


def judged(holds: bool, seen: str) -> Verdict:
    """Make the verdict of a check that could be made."""
    return Verdict(CONFIRMED if holds else CONTRADICTED, seen)
