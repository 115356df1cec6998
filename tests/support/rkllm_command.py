"""The ``rkllm`` command in its own process, as a script or a user runs it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from daemons import Daemon, environment

#: Shells make background processes and their children ignore SIGINT; this undoes it.
HEARS_CTRL_C = ["env", "--default-signal=INT"]
RKLLM = [sys.executable, "-m", "rkllm_twisted.cli"]


def surroundings(daemon: Daemon | None = None) -> dict[str, str]:
    """The environment, with a daemon's socket in it."""
    return {**environment(), **({"RKLLM_UDS_PATH": str(daemon.path)} if daemon else {})}


def rkllm(
    *words: str, daemon: Daemon | None = None, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*RKLLM, *words],
        env=surroundings(daemon),
        capture_output=True,
        text=True,
        timeout=60,
        **{"stdin": subprocess.DEVNULL, **kwargs} if "input" not in kwargs else kwargs,
    )


def begin(*words: str, daemon: Daemon) -> subprocess.Popen[str]:
    """Start the command, with pipes to both of its outputs."""
    return subprocess.Popen(
        [*HEARS_CTRL_C, *RKLLM, *words],
        env=surroundings(daemon),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_one_sentence(text: str) -> bool:
    """Is stderr one line that begins with the command's name?"""
    return len(text.splitlines()) == 1 and text.startswith("rkllm: ") and "Traceback" not in text
