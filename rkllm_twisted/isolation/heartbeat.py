"""Notices by its heartbeats whether a child still runs.

Checks are counted, not seconds. After a pause of the daemon (SIGSTOP, suspend, ``docker pause``)
its timers are due at once, and the heartbeats of the pause are unread, or were never sent if the
child was paused, too. A pause of any length counts as one check without a heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Between two checks.
CHECK_INTERVAL_S = 1.0
#: Checks without a heartbeat after which a child has stopped.
MAX_MISSED = 10
#: Checks to the first heartbeat: at boot, the program and the library are read from a slow card.
MAX_START_CHECKS = 60
#: A child is alive after at most so many checks without a heartbeat.
MAX_MISSED_ALIVE = 5


class Heartbeat:
    """Checks the heartbeats of one child.

    :param read: calls :meth:`beat` if the pipe holds heartbeats that are still unread.
    :param on_silence: called once when the child has stopped.
    """

    def __init__(
        self, clock: IReactorTime, read: Callable[[], object], on_silence: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._read = read
        self._on_silence = on_silence
        self._missed = 0
        self._is_started = False
        self._timer: IDelayedCall = clock.callLater(CHECK_INTERVAL_S, self._check)

    def beat(self) -> None:
        """Record a heartbeat."""
        self._missed = 0
        self._is_started = True

    def is_alive(self) -> bool:
        """True if the last heartbeat is recent, or the first one is not due yet."""
        return self._missed <= (MAX_MISSED_ALIVE if self._is_started else MAX_START_CHECKS - 1)

    def stop(self) -> None:
        """End the checks. Idempotent."""
        if self._timer.active():
            self._timer.cancel()

    def _check(self) -> None:
        self._missed += 1
        self._read()
        if self._missed >= (MAX_MISSED if self._is_started else MAX_START_CHECKS):
            self._on_silence()
        else:
            self._timer = self._clock.callLater(CHECK_INTERVAL_S, self._check)
