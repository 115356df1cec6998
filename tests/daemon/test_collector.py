"""The settings of Python's collector, which are the process's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, sys
from rkllm_twisted.{module} import Options, makeService
options = Options()
options.parseOptions(["--library=cpu", "--isolation=thread", "--socket=sock"])
before = gc.get_threshold()
makeService(options)
print(before == gc.get_threshold(), before[:2] == gc.get_threshold()[:2], gc.get_threshold()[2])
"""


@pytest.mark.parametrize(
    ("module", "words"), [("daemon.twistd", "False True 100"), ("tap", "True True 10")]
)
def test_full_collections_are_rare_where_the_process_is_ours(
    tmp_path: Path, module: str, words: str
) -> None:
    """An application that embeds the daemon keeps its own settings."""
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == words
