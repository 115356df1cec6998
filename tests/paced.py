"""A thread that goes moment by moment, as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rkllm_twisted.testing import StepThread


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
