"""A step of the wall clock, as of a board without a battery, moves no timer of front or bridge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rkllm_twisted.fleet import keys

#: Makes the services that twistd runs, steps the wall clock, and prints which timers have fired;
#: those of the pings are autobahn's.
STEPS = """
import sys, time
real, offset = time.time, 0
time.time = lambda: real() + offset

if sys.argv[1] == "front":
    from rkllm_twisted.fleet_service import twistd_front as program
else:
    from rkllm_twisted.fleet_service import twistd_board as program
options = program.Options()
options.parseOptions(sys.argv[2:])
program.makeService(options)

import txaio
from twisted.internet import reactor
fired = []
reactor.callLater(0, fired.append, "due")
reactor.callLater(300, fired.append, "late")
txaio.make_batched_timer(0.2).call_later(30, fired.append, "ping")
for step in (-4e8, 4e8):
    before, offset = reactor.seconds(), step
    reactor.runUntilCurrent()
    print(fired, abs(reactor.seconds() - before) < 60)
"""


@pytest.mark.parametrize("program", ["front", "board"])
def test_a_step_of_the_wall_clock_ends_no_connection(program: str, tmp_path: Path) -> None:
    """Backward, a due timer still fires; forward, no other one does."""
    pytest.importorskip("autobahn", reason="the extra fleet is not installed")
    keys.make(tmp_path / "key")
    options = ["--router=ws://127.0.0.1:9", "--name=m1", f"--key={tmp_path / 'key'}"]
    words = [sys.executable, "-c", STEPS, program, *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["['due'] True", "['due'] True"]
