"""``make demo-fleet``: router, boards, front and clients in one command."""

from __future__ import annotations

import subprocess

from crossbar_router import CROSSBAR, require_crossbar
from rkllm_command import RKLLM, surroundings

require_crossbar()


def test_four_clients_are_answered_by_three_boards() -> None:
    """Each question has an answer, and the board that has made it."""
    done = subprocess.run(
        [*RKLLM, "demo", "--fleet", "--crossbar", str(CROSSBAR)],
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    asked = [line for line in lines if line.endswith("?")]
    assert len(asked) == 4
    assert {line[:2] for line in asked} == {"b1", "b2", "b3"}
    assert "lost runs: 0" in lines[-1]
    assert "router cannot be reached" not in lines[-1]
