"""The daemon's description of its own state."""

from __future__ import annotations

import pytest

from rkllm_twisted.daemon.about import summary_of
from rkllm_twisted.values import NPUStatus


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (NPUStatus("empty", None, 0, 0, 0), "no model is loaded; waiting calls: 0; clients: 2"),
        (
            NPUStatus("running", "/models/qwen.rkllm", 3, 0, 0),
            "qwen.rkllm is running; waiting calls: 3; clients: 2",
        ),
        (
            NPUStatus("failed", None, 0, 0, 0, "was killed by SIGSEGV"),
            "the runtime's process was killed by SIGSEGV; rkllm.init tries again;"
            " waiting calls: 0; clients: 2",
        ),
    ],
)
def test_the_state_names_model_and_queue(status: NPUStatus, line: str) -> None:
    """`systemctl status` shows the text."""
    assert summary_of(status, 2) == line


@pytest.mark.parametrize(
    "state", ["empty", "loading", "loaded", "running", "stuck", "failed", "closed"]
)
def test_every_state_has_words(state: str) -> None:
    """The states are those that NPUStatus documents."""
    assert state in NPUStatus.__doc__  # type: ignore[operator]
    assert summary_of(NPUStatus(state, None, 0, 0, 0), 0)
