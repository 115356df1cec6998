"""Writes the log to a descriptor, and never blocks the reactor for long; or to a file.

A plain write would block the daemon for ever if the reader of a pipe stands still, or if a
terminal is stopped. :class:`LogOutput` drops and counts the lines that it cannot write.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from twisted.python.logfile import LogFile

#: poll(2) promises room for so many bytes (PIPE_BUF of Linux), so a write of them does not block.
WRITE_BYTES = 4096
#: The time that a write waits for a slow reader. A reader that stands still costs it once.
STALL_S = 0.1


class LogOutput:
    """A descriptor that log lines are written to.

    :param descriptor: the descriptor; its flags stay unchanged, since other processes share them.
    :param dropped_line: makes the line that says how many lines were dropped.
    """

    def __init__(self, descriptor: int, dropped_line: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""  # the rest of a line that has begun
        self._dropped = 0
        self._is_stalled = False

    def write(self, text: str) -> None:
        """Write the lines of an event, or count the event as dropped."""
        data = text.encode("utf-8", "backslashreplace")
        if len(data) <= WRITE_BYTES and not self._dropped and not self._rest and self._poll.poll(0):
            with contextlib.suppress(OSError):
                self._rest = data[os.write(self._descriptor, data) :]
            return
        deadline = time.monotonic() + (0.0 if self._is_stalled else STALL_S)
        self._rest = self._written(self._rest, deadline)
        if self._rest:
            self._dropped += 1
            self._is_stalled = True
            return
        if self._dropped:
            data = self._dropped_line(self._dropped).encode("utf-8", "backslashreplace") + data
        rest = self._written(data, deadline)
        self._is_stalled = bool(rest)
        if len(rest) == len(data):
            self._dropped += 1
        else:
            self._dropped, self._rest = 0, rest

    def _written(self, data: bytes, deadline: float) -> bytes:
        """Write as much as there is room for, and return the rest."""
        # The daemon serves on if the reader has gone.
        with contextlib.suppress(OSError):
            while data and self._has_room(deadline):
                data = data[os.write(self._descriptor, data[:WRITE_BYTES]) :]
            return data
        return b""

    def _has_room(self, deadline: float) -> bool:
        wait = max(0.0, deadline - time.monotonic())
        return bool(self._poll.poll(wait * 1000))


class LineFile(LogFile):
    """A log file that can be rotated, written with a third of Twisted's own steps."""

    def write(self, text: str) -> None:
        """Write the lines of an event."""
        if self.size >= self.rotateLength:
            self.rotate()
        self.size += self._file.write(text.encode("utf-8", "backslashreplace"))
