"""The output of a child: log lines, each with the call during which it was printed.

The child marks the start of each call on both streams, see :mod:`rkllm_twisted.isolation.marks`. So
a line can be given to the client whose call it belongs to, and to no other: with RKLLM_LOG_LEVEL=2
the runtime prints prompts.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from twisted.logger import Logger, LogLevel

from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.isolation.marks import MAX_MARK_BYTES, CallMarks

_log = Logger("rkllm.runtime")

#: The number of the last lines that are kept.
MAX_LINES = 40
#: A longer line of the runtime is cut: it must not fill the daemon's memory or log.
MAX_LINE_BYTES = 4096
#: In characters; what an error's sentence takes of a line.
MAX_REASON_CHARACTERS = 300
#: ``E rkllm: text``, as librkllmrt and librknnrt print.
_SEVERITY = re.compile(r"\s*([EWI]) \w+: *")
_LEVELS = {"E": LogLevel.error, "W": LogLevel.warn, "I": LogLevel.info}


def log_line(line: str) -> None:
    """Log a line of the runtime, with the level that it has in the runtime."""
    severity = _SEVERITY.match(line)
    level = _LEVELS[severity[1]] if severity else LogLevel.info
    _log.emit(level, "runtime: {line}", line=line)


def complaints(lines: Iterable[str]) -> list[str]:
    """Select the lines that are errors or warnings."""
    return [line for line in lines if (found := _SEVERITY.match(line)) and found[1] in "EW"]


def reason_in(lines: Iterable[str]) -> str | None:
    """Return the text of the last error among lines, else of the last warning."""
    found = complaints(lines)
    errors = [line for line in found if line.lstrip().startswith("E")]
    if not found:
        return None
    text = _SEVERITY.sub("", (errors or found)[-1], count=1).strip().rstrip(".")
    return text if len(text) <= MAX_REASON_CHARACTERS else f"{text[:MAX_REASON_CHARACTERS]}…"


def explained(error: RPCError, lines: Sequence[str]) -> RPCError:
    """Add the library's own reason to the error of a function that it refused.

    :param lines: the errors and warnings that it printed during the call.
    """
    reason = reason_in(lines)
    if reason is None or not isinstance(error, RuntimeRefused):
        return error
    data = {**(error.data or {}), "lines": list(lines)}
    function, status = data.get("function"), data.get("status_code")
    reason = reason.removeprefix(f"{function}: ")
    return RuntimeRefused(f"{function} returned {status}: {reason}.", data)


class _LineSplitter:
    """Splits the bytes of one stream into lines."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Add bytes that were read."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(rest) > MAX_LINE_BYTES + MAX_MARK_BYTES:  # its end may be that of a mark
            rest = rest[:MAX_LINE_BYTES] + rest[-MAX_MARK_BYTES:]
        self._rest = rest

    def finish(self) -> None:
        """Take the end of the stream: the rest is a line, too."""
        if self._rest:
            self.feed(b"\n")


class _OutputStream:
    """One of the child's two streams."""

    def __init__(self, marks: CallMarks, keep: Callable[[int, str], None]) -> None:
        self.call = 0
        self.lines = _LineSplitter(self._take)
        self._marks = marks
        self._keep = keep

    def _take(self, line: bytes) -> None:
        printed, call = self._marks.split(line)
        if call is not None and call <= self.call:  # printed again by the library
            printed, call = line, None
        if printed or call is None:
            text = printed[:MAX_LINE_BYTES].decode("utf-8", "replace")
            self._keep(self.call, text.rstrip("\r"))
        if call is not None:
            self.call = call


class ChildOutput:
    """The lines of one child. Each is logged as soon as it is complete.

    :param marks: those that the child writes.
    """

    def __init__(self, marks: CallMarks) -> None:
        self._kept: deque[tuple[int, str]] = deque(maxlen=MAX_LINES)
        self._streams = {number: _OutputStream(marks, self._keep) for number in (1, 2)}

    @property
    def call(self) -> int:
        """The number of the last call that has begun; 0 before the first."""
        return max(stream.call for stream in self._streams.values())

    def feed(self, descriptor: int, data: bytes) -> None:
        """Take bytes of stdout (1) or stderr (2)."""
        self._streams[descriptor].lines.feed(data)

    def finish(self) -> None:
        """Take the end of both streams."""
        for stream in self._streams.values():
            stream.lines.finish()

    def lines_of(self, call: int) -> tuple[str, ...]:
        """Return the last lines that were printed during a call.

        :param call: its number; 0 for what was printed before the first call.
        """
        return tuple(line for number, line in self._kept if number == call)

    def _keep(self, call: int, line: str) -> None:
        self._kept.append((call, line))
        log_line(line)
