"""NPU threads that go as a test says, and not by chance.

Each of them stands in for a pool's thread and the reactor's end of it:
``ThreadNPU(runtime, thread.in_thread, thread.from_thread)``
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure


class StepThread:
    """An NPU thread and the reactor's end of it, both stepped by the test."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._calls: deque[Callable[[], object]] = deque()

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take a job for the thread."""
        done: Deferred[Any] = Deferred()

        def job() -> None:
            try:
                result = function(*args)
            except Exception:  # noqa: BLE001 - any failure belongs to the Deferred
                self.from_thread(done.errback, Failure())
            else:
                self.from_thread(done.callback, result)

        self._jobs.append(job)
        return done

    def from_thread(self, function: Callable[..., object], *args: Any) -> None:
        """Take a call for the reactor."""
        self._calls.append(lambda: function(*args))

    def __len__(self) -> int:
        """How many jobs wait for the thread."""
        return len(self._jobs)

    def go(self) -> None:
        """Let the thread do one job to its end."""
        self._jobs.popleft()()

    @property
    def calls(self) -> int:
        """How many calls wait for the reactor."""
        return len(self._calls)

    def deliver(self) -> None:
        """Let the reactor do the oldest of the calls that came from the thread."""
        self._calls.popleft()()

    def step(self) -> None:
        """Let the thread do one job to its end, then the reactor all that came of it."""
        self.go()
        while self._calls:
            self.deliver()

    def run(self) -> None:
        """Step until nothing is left."""
        while self._jobs:
            self.step()


class PacedThread(StepThread):
    """A StepThread that also stops inside a job, at each :meth:`pace`.

    A job runs in a thread of its own, but only while the test waits for it in :meth:`go`: nothing
    is left to chance. ``FakeRuntime(pace=thread.pace)`` makes every moment of a run such a stop.

    :ivar busy: is the thread in a job now?
    """

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)

    @property
    def idle(self) -> bool:
        """Is nothing under way, neither in the thread nor on its way to or from there?"""
        return not (self.busy or self._jobs or self._calls)

    def pace(self) -> None:
        """Stop here until the test says :meth:`go`. Called in the job."""
        self._has_stopped.release()
        self._may_go.acquire()

    def go(self) -> None:
        """Let the thread go on to its next stop: a moment of its job, or the job's end."""
        if self.busy:
            self._may_go.release()
        else:
            self.busy = True
            job = self._jobs.popleft()
            threading.Thread(target=self._work, args=(job,), daemon=True).start()
        self._has_stopped.acquire()

    def _work(self, job: Callable[[], None]) -> None:
        job()
        self.busy = False
        self._has_stopped.release()

    def step(self) -> None:
        """Let the thread end the job that it is in, or do the next; then the reactor all calls."""
        self.go()
        while self.busy:
            self.go()
        while self._calls:
            self.deliver()

    def run(self) -> None:
        """Step until nothing is left."""
        while not self.idle:
            if self.busy or self._jobs:
                self.step()
            else:
                self.deliver()


class ClockThread(PacedThread):
    """A PacedThread that goes on by itself when its clock says so: one moment per turn.

    With a :class:`~twisted.internet.task.Clock` it goes when the test advances that, with a reactor
    in that reactor's turns. Whoever sleeps in it does not keep the clock from going on.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock
        self._next: IDelayedCall | None = None
        self._nap: float | None = 0.0

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take a job for the thread."""
        done = super().in_thread(function, *args)
        if not self.busy:
            self._go_after(0.0)
        return done

    def pace(self) -> None:
        """Let the reactor have its turn. Called in the job."""
        self.sleep(0.0)

    def sleep(self, seconds: float | None) -> None:
        """Sleep for so long, or with None for ever, or until :meth:`wake`. Called in the job."""
        self._nap = seconds
        super().pace()

    def wake(self) -> None:
        """Let who sleeps go on."""
        if self.busy and threading.current_thread() is not self._worker:
            self._go_after(0.0)

    def _work(self, job: Callable[[], None]) -> None:
        self._worker = threading.current_thread()
        super()._work(job)

    def _go_after(self, seconds: float) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = self._clock.callLater(seconds, self._moment)

    def _moment(self) -> None:
        self._next = None
        self.go()
        while self._calls:
            self.deliver()
        if self.busy:
            if self._nap is not None and self._next is None:  # else a call has woken it by now
                self._go_after(self._nap)
        elif self._jobs and self._next is None:
            self._go_after(0.0)
