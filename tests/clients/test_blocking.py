"""What is the blocking client's alone: its start, its threads, Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from daemons import Daemon, environment

from rkllm_twisted.blocking import Client

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

SLOW = 'run when "slow"\ndelay 5\nrepeat 2000 token "x"\nfinish\nrun\necho\n'
#: Starts a stream, says so, and goes on after Ctrl-C as a person's program would.
INTERRUPTED = """
import sys
from rkllm_twisted.blocking import Client

with Client(sys.argv[1]) as client:
    for _ in range(int(sys.argv[2])):
        count = 0
        try:
            for chunk in client.run_async("slow"):
                count += 1
                if count == 3:
                    print("streaming", flush=True)
        except KeyboardInterrupt:
            print(client.run("still here").text, flush=True)
"""


def python(code: str, *words: str) -> str:
    """Run a program; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_imports_neither_twisted_nor_zope_interface() -> None:
    """Not even in passing."""
    loaded = python("import sys, rkllm_twisted.blocking; print(*sys.modules)").split()
    assert "rkllm_twisted.blocking" in loaded
    assert not {"twisted", "zope", "zope.interface", "click", "asyncio"} & set(loaded)


def test_two_streams_may_be_read_in_turns(start: Start, script: Script) -> None:
    """Each gets its own results, whichever is read."""
    daemon = start()
    daemon.load(script("run\necho\n"))
    with Client(daemon.path) as client:
        one, other = client.run_async("a b c"), client.run_async("d e f")
        assert [(a.text.strip(), b.text.strip()) for a, b in zip(one, other, strict=True)] == [
            ("a", "d"),
            ("b", "e"),
            ("c", "f"),
            ("", ""),
        ]
