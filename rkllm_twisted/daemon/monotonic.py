"""Makes the reactor's timers follow the monotonic clock, not the wall clock.

Twisted's reactors read the wall clock. Its first NTP synchronisation moves a board without a
battery-backed clock by years: every timer of the daemon would end at once, or not before the clock
has caught up.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.logger import Logger

_log = Logger("rkllm.daemon")
#: A reactor whose time is so close to the wall clock, in seconds, follows it.
TOLERANCE_S = 60.0


def use_monotonic_time(reactor: Any) -> None:
    """Make a reactor's timers follow the monotonic clock. Call it in the reactor's thread.

    This concerns all users of the reactor. ``reactor.seconds()`` no longer counts from 1970; timers
    that have been set keep the time that is left to them. Idempotent.

    :param reactor: any reactor of Twisted's, running or not.
    """
    if reactor.seconds is time.monotonic:
        return
    shift = time.monotonic() - reactor.seconds()
    # Each reactor asks its attribute `seconds` for the time, and passes it on to its timers.
    reactor.seconds = time.monotonic
    for call in reactor.getDelayedCalls():
        call.time += shift
        call.seconds = time.monotonic


def follows_wall_clock(reactor: Any) -> bool:
    """True if a step of the wall clock moves a reactor's timers."""
    close: bool = abs(reactor.seconds() - time.time()) < TOLERANCE_S
    return close


def warn_of_wall_clock(reactor: Any) -> None:
    """Log a warning if the reactor of an application follows the wall clock."""
    if follows_wall_clock(reactor):
        _log.warn(
            "the reactor's timers follow the wall clock, so that a step of the clock can end the"
            " runtime's process; call rkllm_twisted.tap.use_monotonic_time(reactor)"
        )
