"""A time limit that a pause of the daemon does not use up.

After a pause (SIGSTOP, suspend, ``docker pause``) the reactor's timers are due at once, before it
has read what came meanwhile. The other side may have been paused as well.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: A timer that is so much too late, in seconds, has been through a pause.
PAUSE_S = 2.0


class Deadline:
    """Calls a function when a time has passed.

    A timer that is late is started again, as if the pause had not been.

    :param seconds: the time.
    :param on_end: called without arguments.
    """

    def __init__(self, clock: IReactorTime, seconds: float, on_end: Callable[[], object]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._on_end = on_end
        self._timer: IDelayedCall | None = None
        self._start()

    def active(self) -> bool:
        """True if it has neither ended nor been cancelled."""
        return self._timer is not None and self._timer.active()

    def restart(self) -> None:
        """Begin the time again, if it has not ended. Done for each token: the timer stays."""
        self._due = self._clock.seconds() + self._seconds

    def cancel(self) -> None:
        """Never call the function. Idempotent."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _start(self) -> None:
        self._due = self._clock.seconds() + self._seconds
        self._timer = self._clock.callLater(self._seconds, self._end)

    def _end(self) -> None:
        late = self._clock.seconds() - self._due
        if late < 0:  # it was begun again meanwhile
            self._timer = self._clock.callLater(-late, self._end)
        elif late > PAUSE_S:
            self._start()
        else:
            # The timer refers to us: without this only Python's collector would free either.
            self._timer = None
            self._on_end()
