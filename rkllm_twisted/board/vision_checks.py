"""Checks of the vision encoder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG, Finding

_REMEDY = "twistd -n rkllm --vision-library /path/librknnrt.so"


@attrs.frozen
class VisionFacts:
    """What ``rkllm doctor`` knows of vision encoders.

    :param library: where librknnrt was found; None if it was not.
    :param problem: why it was not.
    :param status: ``vision`` in the answer to ``server.status``; empty without a daemon.
    :param model_family: the family of the loaded model; None if it is not known.
    """

    library: str | None
    problem: str | None = None
    status: Mapping[str, Any] = attrs.field(factory=dict)
    model_family: str | None = None


def librknnrt(facts: VisionFacts) -> Finding:
    """Check that the library for vision encoders is there. Only pictures need it."""
    encoder = facts.status.get("encoder")
    if encoder:
        driver = f", driver {encoder['driver']}" if encoder["driver"] else ""
        what = f"{encoder['library']} has version {encoder['version']}{driver}."
        if not encoder["is_real"]:
            return Finding(WARNING, f"{what} It makes its rows up.", _REMEDY)
        return Finding(OK, what)
    if facts.library is not None:
        return Finding(OK, f"Vision encoders have {facts.library}.")
    return Finding(SKIPPED, facts.problem or "There is no librknnrt.so.", _REMEDY)


def encoder(facts: VisionFacts) -> Finding | None:
    """Check that the daemon's vision encoder runs, and belongs to the model."""
    loaded, problem = facts.status.get("encoder"), facts.status.get("problem")
    if problem:
        return Finding(WRONG, str(problem), "rkllm call vision.load '{\"path\": …}'")
    if not loaded:
        return None
    family = loaded["family"]
    if family and facts.model_family and family != facts.model_family:
        return Finding(
            WRONG,
            f"The encoder {loaded['name']} was loaded for the family {family}, and the model is of"
            f" the family {facts.model_family}.",
            "load the encoder that belongs to the model",
        )
    return Finding(
        OK,
        f"The encoder {loaded['name']} is loaded: {loaded['tokens']} tokens of"
        f" {loaded['row_width']} numbers for each picture.",
    )


#: The checks, in the order in which a user mends their faults.
VISION_CHECKS: Mapping[str, Callable[[VisionFacts], Finding | None]] = {
    "librknnrt": librknnrt,
    "encoder": encoder,
}


def run_vision_checks(facts: VisionFacts) -> Mapping[str, Finding]:
    """Make all checks that apply, and return the findings by the checks' names."""
    found = {name: check(facts) for name, check in VISION_CHECKS.items()}
    return {name: finding for name, finding in found.items() if finding is not None}
