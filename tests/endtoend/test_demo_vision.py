"""``rkllm demo --vision``: from a JPEG to words, and nothing left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from daemons import MAX_WAIT_S, environment


def test_two_pictures_have_two_answers(tmp_path: Path) -> None:
    """The rows reach the model, and the demonstration says that they are made up."""
    done = subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.cli", "demo", "--vision"],
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_WAIT_S,
        env={**environment(), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    answers = re.findall(r"bytes\)\n +(\S.*)\n", done.stdout)
    assert len(answers) == len(set(answers)) == 2
    assert "These words are made up" in done.stdout
    assert list(tmp_path.iterdir()) == []
