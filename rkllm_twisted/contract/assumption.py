"""A row of the tables of assumptions."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from rkllm_twisted.contract.raw_library import RawLibrary
from rkllm_twisted.contract.verdict import Verdict


@attrs.frozen
class Assumption:
    """A behaviour of librkllmrt that the code relies on, or copes with.

    :param name: a short name for the report.
    :param text: the assumption in one sentence.
    :param otherwise: the consequence for the daemon if the assumption is wrong.
    :param check: the function that checks it; None if no program can: ``otherwise`` has the reason.
    """

    name: str
    text: str
    otherwise: str
    check: Callable[[RawLibrary], Verdict] | None = attrs.field(repr=False)


COPES = "The daemon copes."
