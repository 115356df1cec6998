"""What ``rkllm doctor`` says of vision encoders."""

from __future__ import annotations

from typing import Any

import pytest

from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG
from rkllm_twisted.board.vision_checks import VisionFacts, run_vision_checks

ENCODER = {
    "name": "e.rknn",
    "library": "/usr/lib/librknnrt.so",
    "version": "2.3.2",
    "driver": "0.9.8",
    "is_real": True,
    "tokens": 196,
    "row_width": 1536,
    "family": "qwen2",
}


def levels(facts: VisionFacts) -> dict[str, str]:
    """Return the level of each finding."""
    return {name: finding.level for name, finding in run_vision_checks(facts).items()}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (VisionFacts(None, "There is none."), {"librknnrt": SKIPPED}),
        (VisionFacts("librknnrt.so"), {"librknnrt": OK}),
        (VisionFacts(None, status={"encoder": ENCODER}), {"librknnrt": OK, "encoder": OK}),
        (
            VisionFacts(None, status={"encoder": {**ENCODER, "is_real": False}}),
            {"librknnrt": WARNING, "encoder": OK},
        ),
        (
            VisionFacts("x", status={"encoder": ENCODER}, model_family="gemma"),
            {"librknnrt": OK, "encoder": WRONG},
        ),
        (
            VisionFacts("x", status={"encoder": None, "problem": "It was killed."}),
            {"librknnrt": OK, "encoder": WRONG},
        ),
    ],
)
def test_each_state_has_its_level(facts: VisionFacts, expected: dict[str, Any]) -> None:
    """A machine without pictures is not ill."""
    assert levels(facts) == expected


def test_the_versions_are_said() -> None:
    """They decide what a file may be."""
    found = run_vision_checks(VisionFacts(None, status={"encoder": ENCODER}))
    assert found["librknnrt"].message == "/usr/lib/librknnrt.so has version 2.3.2, driver 0.9.8."
