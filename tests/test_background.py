"""The suite passes where SIGINT is ignored, as in the background of a script."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def test_ctrl_c_is_tested_in_the_background() -> None:
    """The test runs a Ctrl-C test in a pytest that ignores SIGINT."""
    test = f"{TESTS}/test_blocking.py::test_ctrl_c_while_bytes_are_taken_in_loses_none"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", test],
        cwd=TESTS.parent,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
