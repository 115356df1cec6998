"""The clock of the reactor's timers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import globalLogPublisher

from rkllm_twisted.daemon.monotonic import (
    follows_wall_clock,
    use_monotonic_time,
    warn_of_wall_clock,
)


def test_timers_follow_the_monotonic_clock_and_keep_their_time() -> None:
    """Existing timers are included; calling it twice does no harm."""
    reactor = EPollReactor()
    before = reactor.callLater(10, print)
    assert follows_wall_clock(reactor)
    use_monotonic_time(reactor)
    use_monotonic_time(reactor)
    assert not follows_wall_clock(reactor)
    assert reactor.seconds() <= time.monotonic()
    after = reactor.callLater(20, print)
    before.reset(15)
    left = [call.getTime() - time.monotonic() for call in (before, after)]
    assert 14 < left[0] <= 15
    assert 19 < left[1] <= 20
    before.cancel()
    after.cancel()
    reactor.runUntilCurrent()


#: Makes the service that twistd runs, steps the wall clock, and prints what the reactor does.
STEPS = """
import sys, time
real, offset = time.time, 0
time.time = lambda: real() + offset

from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.twistd import makeService
from twisted.internet import reactor

options = Options()
options.parseOptions(["--library=cpu", "--isolation=thread", f"--socket={sys.argv[1]}"])
makeService(options)
fired = []
reactor.callLater(0, fired.append, "due")
reactor.callLater(300, fired.append, "late")
for step in (-400, 400):
    before, offset = reactor.seconds(), step
    reactor.runUntilCurrent()
    print(fired, abs(reactor.seconds() - before) < 60)
"""


def test_a_step_of_the_wall_clock_moves_no_timer_of_the_daemon(tmp_path: Path) -> None:
    """Backward, a due timer still fires; forward, no other one does."""
    words = [sys.executable, "-c", STEPS, str(tmp_path / "s")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["['due'] True", "['due'] True"]


def test_an_application_whose_timers_follow_the_wall_clock_is_warned() -> None:
    """An application that calls use_monotonic_time is not warned."""
    reactor, events = EPollReactor(), []
    globalLogPublisher.addObserver(events.append)
    try:
        warn_of_wall_clock(reactor)
        assert ["use_monotonic_time" in event["log_format"] for event in events] == [True]
        use_monotonic_time(reactor)
        warn_of_wall_clock(reactor)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert len(events) == 1
