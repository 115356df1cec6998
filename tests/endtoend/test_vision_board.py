"""``rkllm doctor --contract --vision``: the eight steps, with the scripted library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S, environment

from rkllm_twisted.cli.demo_vision import SCRIPT
from rkllm_twisted.cpu import library_path


@pytest.mark.parametrize(
    ("release", "more", "said"),
    [
        ("1.2.1", ["--family=minicpm-v"], "family minicpm-v, tags None"),
        ("1.3.0", ["--tags", "<s>", "</s>", "<c>"], "'start': '<s>', 'end': '</s>'"),
    ],
)
def test_the_steps_run_without_an_npu(
    tmp_path: Path, release: str, more: list[str], said: str
) -> None:
    """What needs a person or the vendor's file is not testable; nothing is contradicted.

    Before 1.3.0 the texts around an image go to rkllm.init. They are those of a family, or given.
    """
    encoder = tmp_path / "encoder.rknn"
    encoder.write_text(SCRIPT)
    options = [
        f"--library={library_path(release)}",
        "--model=demo",
        f"--vision={encoder}",
        "--vision-library=scripted",
        *more,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.cli", "doctor", "--contract", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_WAIT_S,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (tmp_path / "board-report-vision.md").read_text().splitlines()[2:]
    assert said in lines[0]
    verdicts = [line.partition(":")[0] for line in lines]
    person = "- not testable here"
    assert (
        verdicts
        == [*["- confirmed"] * 2, person, person, "- confirmed", person] + ["- confirmed"] * 2
    )
