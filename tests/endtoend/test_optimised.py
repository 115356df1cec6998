"""``python -OO``: the daemon works, and its descriptions lack what docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daemons import Daemon, environment

from rkllm_twisted.cpu import demo_model

OPTIMISED = {"PYTHONOPTIMIZE": "2"}


def test_a_wrong_option_is_refused_with_what_it_must_be(tmp_path: Path) -> None:
    """The sentence does not come from a docstring."""
    program = "from twisted.scripts.twistd import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "-n", "rkllm", "--max-requests", "zero"],
        cwd=tmp_path,
        env=environment() | OPTIMISED,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    said = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert said.endswith("--max-requests must be a whole number from 1, not 'zero'.")


def test_a_model_is_loaded_and_run(tmp_path: Path) -> None:
    """The child process is optimised as well, and the table of errors is complete."""
    daemon = Daemon(tmp_path, wrapper=["env", "PYTHONOPTIMIZE=2"])
    try:
        daemon.load(demo_model())
        with daemon.connect() as client:
            answer = client.ask("rkllm.run", [{"prompt_input": "What is a module?"}])
            assert answer["result"]["text"]
            document = client.ask("rpc.discover")["result"]
            assert all(error["message"] for error in document["components"]["errors"].values())
            assert "Parameters:" in client.ask("system.methodHelp", ["rkllm.run"])["result"]
    finally:
        assert daemon.stop() == 0
