"""The forms of the log: text for people, JSON lines for programs, lines for journald.

twistd's own observers write text of every level. :class:`Observer` writes one of three forms, from
a level on, to the place where twistd would have written.
"""

from __future__ import annotations

import functools
import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TextIO

import msgspec
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from rkllm_twisted.daemon.log_output import LineFile, LogOutput
from rkllm_twisted.rpc.access_log import LINE, RawJSON

#: Level -> its number in syslog(3). journald reads it at the beginning of a line.
PRIORITIES: Mapping[str, int] = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}
LEVELS = tuple(PRIORITIES)
#: Keys that only old-style events have (twisted.python.log).
OLD_FIELDS = frozenset(
    {"message", "isError", "time", "system", "format", "printed", "why", "failure", "logLevel"}
)
#: Keys of a line of JSON that no field of an event may replace.
OWN_FIELDS = frozenset({"level", "logger", "traceback", *OLD_FIELDS})


def _time_of(event: LogEvent) -> float:
    return float(event.get("log_time") or time.time())


def _formatted_time(moment: float, form: str) -> str:
    return _formatted_second(math.floor(moment), form)


#: The form of the time in a line of text.
TEXT_TIME = "%Y-%m-%dT%H:%M:%S%z"


@functools.lru_cache(maxsize=8)
def _formatted_second(second: int, form: str) -> str:
    # Kept: a busy daemon writes many lines in a second.
    return time.strftime(form, time.localtime(second))


def _text(event: LogEvent) -> str:
    """Return the event's text, as Twisted formats it."""
    form = event.get("log_format")
    is_finished = type(form) is str and "{" not in form and "}" not in form
    if is_finished and "log_flattened" not in event:
        return str(form)  # nothing is left to fill in; Twisted's formatter takes ten times as long
    return formatEvent(event)


def _message(event: LogEvent) -> str:
    """Return the event's text, with its traceback if it has one."""
    text = _text(event)
    if event.get("log_failure") is not None:
        text = f"{text}\n{_traceback(event)}"
    return text if text.isprintable() else _printable(_utf8(text))


def _printable(text: str) -> str:
    """Escape all but printable characters, line breaks and tabs: the text may be a client's.

    Terminals act on control characters (ESC, the C1 controls), readers of lines on U+2028, and
    bidirectional text turns a line around.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in " \n\r\t" else repr(each)[1:-1] for each in text
    )


def _utf8(text: str) -> str:
    """Escape what UTF-8 cannot encode: the name of a file may hold any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _traceback(event: LogEvent) -> str:
    failure = event["log_failure"]
    try:
        return str(failure.getTraceback())
    except Exception:  # noqa: BLE001 - the log must not fail over what is logged
        return f"(no traceback of {failure!r})"


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return "info" if level is None else str(level.name)


def as_text(event: LogEvent) -> str:
    """Return time, namespace, level and text in a line. Further lines of the text are indented."""
    line = event.get(LINE)
    if line is not None:  # an event of ours, and there are many of them
        when = _formatted_second(math.floor(event["log_time"]), TEXT_TIME)
        return f"{when} [{event['log_namespace']}#{event['log_level'].name}] {line}\n"
    when = _formatted_time(_time_of(event), TEXT_TIME)
    where = f"{event.get('log_namespace', '-')}#{_level(event)}"
    return f"{when} [{where}] {_one_event(_message(event))}\n"


def _one_event(text: str) -> str:
    """Indent further lines, so that a text from a client cannot look like an event of its own."""
    return text.replace("\r", "\\r").replace("\n", "\n\t")


def as_journald(event: LogEvent) -> str:
    """Return the same without the time, which the journal adds, and with journald's level."""
    line = event.get(LINE)
    if line is not None:
        return f"<{PRIORITIES[event['log_level'].name]}>[{event['log_namespace']}] {line}\n"
    prefix = f"<{PRIORITIES[_level(event)]}>"
    text = f"[{event.get('log_namespace', '-')}] {_one_event(_message(event))}"
    return "".join(f"{prefix}{line}\n" for line in text.split("\n"))


def as_json(event: LogEvent) -> str:
    """Return a JSON object: time, level, logger, message, and the event's own fields by name."""
    moment = _time_of(event)
    fields: dict[str, Any] = {
        "time": f"{_formatted_time(moment, '%Y-%m-%dT%H:%M:%S')}.{int(moment % 1 * 1e6):06d}"
        + _formatted_time(moment, "%z"),
        "level": _level(event),
        "logger": event.get("log_namespace", "-"),
        "message": event.get(LINE) or _utf8(_text(event)),
    }
    if event.get("log_failure") is not None:
        fields["traceback"] = _utf8(_traceback(event))
    for name, value in event.items():
        if not name.startswith("log_") and name not in OWN_FIELDS:
            fields[name] = _json_value(value)
    return _escaped_json(msgspec.json.encode(fields).decode()) + "\n"


def _escaped_json(text: str) -> str:
    """Escape what is not printable in a JSON text; its meaning stays the same."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(
        f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)
    )


def _json_value(value: object) -> object:
    """Return the value if JSON has it, else its text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, RawJSON):
        return msgspec.Raw(value.encode())
    return _utf8(str(value))


#: The values of ``--log-format``.
FORMATS: Mapping[str, Callable[[LogEvent], str]] = {
    "text": as_text,
    "json": as_json,
    "journald": as_journald,
}


def _dropped_line(form: str, count: int) -> str:
    """Return the line with the number of dropped events."""
    return FORMATS[form](
        {
            "log_level": LogLevel.warn,
            "log_namespace": "rkllm.daemon",
            "log_time": time.time(),
            "log_format": "{dropped} events of the log were dropped: its reader stood still",
            "dropped": count,
        }
    )


@implementer(ILogObserver)
class Observer:
    """Writes events of a level and above.

    :param out: the file to write to; it must keep nothing back.
    :param form: one of :data:`FORMATS`.
    :param level: one of :data:`LEVELS`.
    """

    def __init__(
        self, out: TextIO | LineFile | LogOutput, form: str = "text", level: str = "info"
    ) -> None:
        self._out = out
        self._form = FORMATS[form]
        wanted = [LogLevel.lookupByName(name) for name in LEVELS[LEVELS.index(level) :]]
        # An event without a level has the level info.
        self._wanted = frozenset([*wanted, *([None] if LogLevel.info in wanted else [])])
        self._is_debugging = LogLevel.debug in wanted

    def __call__(self, event: LogEvent) -> None:
        """Write an event, if its level is high enough."""
        if event.get("log_level") in self._wanted and (self._is_debugging or not _is_retry(event)):
            self._out.write(self._form(event))


def _is_retry(event: LogEvent) -> bool:
    """True if Twisted's ClientService says that it tries again.

    It does so twice a second while a daemon is away. The services say once what is missing.
    """
    return str(event.get("log_format")).startswith("Scheduling retry ")


def observer_for(twistd: Mapping[str, Any], form: str, level: str) -> Observer | None:
    """Make the observer that twistd's own options ask for.

    :returns: None if those options are wrong; twistd then prints its own message.
    """
    name = twistd["logfile"]
    if twistd["nodaemon"] and name in (None, "", "-"):
        return Observer(LogOutput(sys.stdout.fileno(), partial(_dropped_line, form)), form, level)
    if name == "-":
        return None
    file = LineFile.fromFullPath(name or "twistd.log")
    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, lambda *_: _rotate(file))
    return Observer(file, form, level)


def _rotate(file: LineFile) -> None:
    from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

    reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]
