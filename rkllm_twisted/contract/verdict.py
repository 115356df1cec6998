"""The verdict on an assumption."""

from __future__ import annotations

import attrs

CONFIRMED, CONTRADICTED, UNTESTED = "confirmed", "contradicted", "not testable here"


class NotTestable(Exception):
    """The assumption cannot be checked with this library or model; the text has the reason."""


@attrs.frozen
class Verdict:
    """The verdict on an assumption, with its evidence.

    :param verdict: :data:`CONFIRMED`, :data:`CONTRADICTED` or :data:`UNTESTED`.
    :param seen: the observation of the check, in words and figures.
    """

    verdict: str
    seen: str


def judged(holds: bool, seen: str) -> Verdict:
    """Return the verdict of a check that ran."""
    return Verdict(CONFIRMED if holds else CONTRADICTED, seen)
