"""A daemon that is killed while it streams never blocks the next one's start."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from daemons import Daemon

TIMES = 100


def test_a_killed_daemon_starts_again_a_hundred_times(
    start: Callable[..., Daemon], script: Callable[[str], Path], tmp_path: Path
) -> None:
    """Another process may have the old daemon's id by then: here, this test's process."""
    model = script("run\n" + 'token "x"\n' * 500 + "hang until abort\nfinish\n")
    for _ in range(TIMES):
        daemon = start(twistd_options=["--nodaemon"])
        daemon.load(model)
        with daemon.connect() as client:
            answer = client.ask("rkllm.run_async", [{"prompt_input": "hi"}])
            assert answer["result"]["text"] == "x"
            daemon.stop(signal.SIGKILL)
        assert daemon.path.is_socket()
        for name in ("rkllm.sock.lock", "twistd.pid"):
            (tmp_path / name).write_text(str(os.getpid()))
