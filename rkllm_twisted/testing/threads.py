"""NPU threads that a test steps, so that nothing depends on chance.

Each of them replaces the pool's thread and ``callFromThread``:
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
    """An NPU thread and its calls to the reactor, both stepped by the test."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._calls: deque[Callable[[], object]] = deque()

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Queue a job for the thread."""
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
        """Queue a call for the reactor."""
        self._calls.append(lambda: function(*args))

    def __len__(self) -> int:
        """Return how many jobs wait for the thread."""
        return len(self._jobs)

    def go(self) -> None:
        """Do one whole job of the thread."""
        self._jobs.popleft()()

    @property
    def calls(self) -> int:
        """The number of calls that wait for the reactor."""
        return len(self._calls)

    def deliver(self) -> None:
        """Make the oldest call for the reactor."""
        self._calls.popleft()()

    def step(self) -> None:
        """Do one whole job of the thread, then all calls for the reactor."""
        self.go()
        while self._calls:
            self.deliver()

    def run(self) -> None:
        """Step until no job and no call is left."""
        while self._jobs:
            self.step()


class PacedThread(StepThread):
    """A StepThread that also stops inside a job, at each :meth:`pace`.

    A job runs in a new thread, but only while the test waits for it in :meth:`go`, so nothing
    depends on chance. With ``FakeRuntime(pace=thread.pace)`` it stops before each callback.

    :ivar busy: True while the thread is in a job.
    """

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)

    @property
    def idle(self) -> bool:
        """True if there is no job in progress, no queued job and no queued call."""
        return not (self.busy or self._jobs or self._calls)

    def pace(self) -> None:
        """Stop until the test calls :meth:`go`. Called in the job."""
        self._has_stopped.release()
        self._may_go.acquire()

    def go(self) -> None:
        """Continue to the next stop: a :meth:`pace`, or the end of the job."""
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
        """Finish the current job, or do the next one, then make all calls for the reactor."""
        self.go()
        while self.busy:
            self.go()
        while self._calls:
            self.deliver()

    def run(self) -> None:
        """Step until no job and no call is left."""
        while not self.idle:
            if self.busy or self._jobs:
                self.step()
            else:
                self.deliver()


class ClockThread(PacedThread):
    """A PacedThread that a clock steps: it continues to the next stop once per turn.

    With a :class:`~twisted.internet.task.Clock` it continues when the test advances the clock, with
    a reactor in the reactor's turns. A job that sleeps does not stop the clock.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock
        self._next: IDelayedCall | None = None
        self._sleep_s: float | None = 0.0

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Queue a job for the thread."""
        done = super().in_thread(function, *args)
        if not self.busy:
            self._go_after(0.0)
        return done

    def pace(self) -> None:
        """Stop until the next turn of the reactor. Called in the job."""
        self.sleep(0.0)

    def sleep(self, seconds: float | None) -> None:
        """Sleep until :meth:`wake`, or for some seconds; None means without limit.

        Called in the job.
        """
        self._sleep_s = seconds
        super().pace()

    def wake(self) -> None:
        """Wake a job that sleeps."""
        if self.busy and threading.current_thread() is not self._worker:
            self._go_after(0.0)

    def _work(self, job: Callable[[], None]) -> None:
        self._worker = threading.current_thread()
        super()._work(job)

    def _go_after(self, seconds: float) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = self._clock.callLater(seconds, self._continue)

    def _continue(self) -> None:
        self._next = None
        self.go()
        while self._calls:
            self.deliver()
        if self.busy:
            if (
                self._sleep_s is not None and self._next is None
            ):  # otherwise a call has woken the job
                self._go_after(self._sleep_s)
        elif self._jobs and self._next is None:
            self._go_after(0.0)
