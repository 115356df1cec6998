"""The service that keeps a child, without a process."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.isolation.config import ChildConfig
from rkllm_twisted.isolation.process import ChildProcess
from rkllm_twisted.isolation.supervisor import BACK_OFF_S, MAX_EARLY_EXITS, Supervisor


class Processes(Clock):
    """A reactor whose processes end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[ChildProcess] = []
        self.fails = False

    def spawnProcess(self, protocol: ChildProcess, *_: object, **__: object) -> None:
        if self.fails:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        assert IProcessProtocol.providedBy(protocol)
        self.made.append(protocol)


def open_descriptors() -> int:
    """The number of this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def reactor() -> Processes:
    return Processes()


@pytest.fixture
def supervisor(reactor: Processes) -> Supervisor:
    made = Supervisor(reactor, ChildConfig("cpu", "1.3.0"))
    made.startService()
    return made


def test_the_end_of_the_last_child_is_told_in_a_turn_of_its_own(
    reactor: Processes, supervisor: Supervisor
) -> None:
    """Twisted reaps several children at once; none may be forgotten during that loop."""
    [child] = reactor.made
    stopped = supervisor.stopService()
    child.processEnded(Failure(ProcessDone(0)))
    assert not stopped.called
    reactor.advance(0)
    assert stopped.called
    assert reactor.getDelayedCalls() == []


def test_without_a_child_it_is_stopped_at_once(reactor: Processes, supervisor: Supervisor) -> None:
    """Stopping without a child is immediate."""
    [child] = reactor.made
    supervisor.stopService()
    child.processEnded(Failure(ProcessDone(0)))
    reactor.advance(0)
    assert supervisor.stopService().called


def test_a_child_that_cannot_be_started_is_a_failed_start(
    reactor: Processes, supervisor: Supervisor
) -> None:
    """The supervisor retries a few times, then waits for rkllm.init, and leaks no descriptor."""
    [child] = reactor.made
    reactor.fails = True
    child.processEnded(Failure(ProcessDone(0)))
    descriptors = open_descriptors()
    reactor.advance(BACK_OFF_S)
    assert supervisor.problem == "could not be started: Resource temporarily unavailable"
    assert not supervisor.failed
    reactor.pump([BACK_OFF_S] * 4 * MAX_EARLY_EXITS)
    assert supervisor.failed
    assert reactor.getDelayedCalls() == []
    with pytest.raises(RuntimeCrashed, match="could not be started"):
        supervisor.channel()
    assert open_descriptors() == descriptors
    reactor.fails = False
    assert not supervisor.restart().exit
    assert not supervisor.failed
    supervisor.stopService()
    reactor.made[1].processEnded(Failure(ProcessDone(0)))


class RefilledPipe:
    """A pipe that holds as much after a read as before."""

    def __init__(self, child: ChildProcess) -> None:
        self.reads = 0
        self._child = child
        self._out, self._in = os.pipe()
        os.write(self._in, b"x\n" * 100)

    def fileno(self) -> int:
        return self._out

    def doRead(self) -> None:
        self.reads += 1
        assert self.reads < 100, "it is read without an end"
        data = os.read(self._out, 50)
        os.write(self._in, data)
        self._child.childDataReceived(1, data)

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


def test_what_comes_while_output_is_read_waits(reactor: Processes, supervisor: Supervisor) -> None:
    """A library may print without a pause."""
    [child] = reactor.made
    pipe = RefilledPipe(child)
    child.transport = SimpleNamespace(pipes={1: pipe})
    child.lines_of(0)
    assert pipe.reads == 4
    pipe.close()
    supervisor.stopService()
    child.processEnded(Failure(ProcessDone(0)))
