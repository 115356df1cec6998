"""A step of the wall clock, as of a board without a battery, moves no timer of front or bridge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rkllm_twisted.fleet import keys

#: Starts a service that twistd runs, beside a router that answers pings only, steps the wall clock
#: once they are connected, and prints by how much that moves the timers, and whose they are.
STEPS = """
import sys, time
real, offset = time.time, 0
time.time = lambda: real() + offset

if sys.argv[1] == "front":
    from rkllm_twisted.fleet_service import twistd_front as program
else:
    from rkllm_twisted.fleet_service import twistd_board as program

from twisted.internet import reactor
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

class Silent(WebSocketServerProtocol):
    def onConnect(self, request):
        return request.protocols[0]

    def onMessage(self, payload, is_binary):
        step()

def left():
    now = reactor.seconds()
    return {call: call.getTime() - now for call in reactor.getDelayedCalls()}

def step():
    global offset
    before = left()
    for offset in (-4e8, 4e8):
        after = left()
        print(max(abs(after[call] - before[call]) for call in before) < 60)
    timed = [getattr(call.func, "f", call.func) for call in before]  # what a loop calls
    modules = {getattr(one, "__module__", "").partition(".")[0] for one in timed}
    print(*sorted(modules & {"rkllm_twisted", "txaio"}))
    reactor.stop()

router = WebSocketServerFactory()
router.protocol = Silent
port = reactor.listenTCP(0, router, interface="127.0.0.1")
options = program.Options()
options.parseOptions([f"--router=ws://127.0.0.1:{port.getHost().port}", *sys.argv[2:]])
service = program.makeService(options)
service.privilegedStartService()
service.startService()
reactor.run()
"""


@pytest.mark.parametrize("program", ["front", "board"])
def test_a_step_of_the_wall_clock_moves_no_timer(program: str, tmp_path: Path) -> None:
    """Those of the pings are autobahn's, which makes them by txaio."""
    pytest.importorskip("autobahn", reason="the extra fleet is not installed")
    keys.make(tmp_path / "key")
    path = "--socket" if program == "front" else "--daemon"
    options = ["--name=m1", f"--key={tmp_path / 'key'}", f"{path}={tmp_path / 'socket'}"]
    words = [sys.executable, "-c", STEPS, program, *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True", "True", "rkllm_twisted txaio"]
