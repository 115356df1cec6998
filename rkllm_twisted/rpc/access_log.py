"""A log line for each connection and each request: the client, the method and the outcome.

A line has no text of a prompt, unless the operator asks for it. A line below the log's level costs
two comparisons.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from twisted.logger import Logger, LogLevel

from rkllm_twisted.errors import NotAllowed, RPCError
from rkllm_twisted.values import Params, Peer

#: Lines beyond this are counted: a client can connect, or send wrong requests, ten thousand times a
#: second, and must not fill the disk.
LINES_PER_SECOND = 1000
MAX_PROMPT_CHARS = 10_000
#: Fields that hold the text of a prompt.
PROMPTS = frozenset({"prompt_input", "prompt", "content"})
#: Members of results with the number of tokens: RKLLMPerfStat's, and that of chat and text.
TOKEN_FIGURES = (("perf", "generate_tokens"), ("usage", "completion_tokens"))

_log = Logger("rkllm.requests")

#: The key of an event's text if that is one printable line. An observer that knows it formats
#: nothing; the others find the same text in ``log_format``.
LINE = "log_line"

#: The log's levels, the least important first.
_LEVELS = tuple(LogLevel.iterconstants())
LEVELS = tuple(level.name for level in _LEVELS)
_LOOKED, _DONE, _REFUSED = map(LEVELS.index, ("debug", "info", "warn"))


class RawJSON(str):
    """The JSON text of a field; a log of JSON has it unchanged."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Return a client's text as a line of the log may show it.

    A line break would begin a line of its own, an escape sequence colour the terminal, and a
    control of the writing direction (U+202E) turn the line around.
    """
    return text if text.isprintable() else repr(text)[1:-1]


class LogEntry(msgspec.Struct, eq=False):
    """The facts about one request. There is one for each request, so it must cost little.

    :param method: as the client sent it.
    :param id: as the client sent it; None for a notification.
    :param begun: when it came, in seconds of the log's clock.
    :param is_quiet: its success is logged at the level debug, see
        :class:`~rkllm_twisted.interfaces.IQuiet`.
    :ivar tokens: the number that a run generated; None if the call is not a run.
    :ivar error: the error of the answer; None if it succeeded.
    :ivar prompt: the text of the prompt, if it is logged.
    """

    method: str
    id: bytes | None
    begun: float
    is_quiet: bool = False
    tokens: int | None = None
    error: RPCError | None = None
    prompt: str | None = None


class AccessLog:
    """Writes the lines.

    :param level: of the log, one of :data:`LEVELS`; a line below it costs nothing.
    :param prompts: True to log prompts.
    :param clock: returns the time in seconds.
    :ivar has_quiet: True if the success of quiet methods is logged.
    """

    def __init__(
        self,
        level: str = "info",
        prompts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._level = LEVELS.index(level)
        self.has_quiet = self._level <= _LOOKED
        self.prompts = prompts
        self.clock = clock
        self._second, self._lines, self._left_out = 0, 0, 0

    def opened(self, peer: Peer, refusal: RPCError | None) -> None:
        """Log that a client has connected.

        :param refusal: the error that refuses the client; None if it is served.
        """
        level = _REFUSED if isinstance(refusal, NotAllowed) else _DONE
        if level >= self._level and self._has_room():
            fields = {
                "client": peer.number,
                "happened": "connected" if refusal is None else f"turned away ({refusal.code})",
                "pid": peer.pid,
                "uid": peer.uid,
                "gid": peer.gid,
            }
            text = "client {client} {happened}: pid {pid}, uid {uid}, gid {gid}"
            self._emit(level, text.format_map(fields), fields)

    def closed(self, peer: Peer, messages: int) -> None:
        """Log that a client has left.

        :param messages: how many it has sent.
        """
        if self._level <= _DONE and self._has_room():
            fields = {"client": peer.number, "uid": peer.uid, "messages": messages}
            self._emit(_DONE, f"client {peer.number} left after {messages} messages", fields)

    def note_params(self, entry: LogEntry, params: Params) -> None:
        """Keep the text of the prompt for the line, if :attr:`prompts` is true."""
        entry.prompt = " ".join(_prompts_in(params))[:MAX_PROMPT_CHARS] or None

    def end(self, peer: Peer, entry: LogEntry) -> None:
        """Log a request that has been answered."""
        level = _level_of(entry)
        if level >= self._level and self._has_room():
            self._write(peer, entry, level)

    def _has_room(self) -> bool:
        second = int(self.clock())
        if second != self._second:
            if self._left_out:
                _log.warn("{left_out} more lines are left out", left_out=self._left_out)
            self._second, self._lines, self._left_out = second, 0, 0
        self._lines += 1
        self._left_out += self._lines > LINES_PER_SECOND
        return self._lines <= LINES_PER_SECOND

    def _write(self, peer: Peer, entry: LogEntry, level: int) -> None:
        error, duration = entry.error, round(self.clock() - entry.begun, 6)
        method = entry.method[:100]
        raw_id = None if entry.id is None else RawJSON(entry.id, "utf-8")
        outcome = "ok" if error is None else type(error).__name__
        fields: dict[str, Any] = {
            "client": peer.number,
            "uid": peer.uid,
            "method": method,
            "id": raw_id,
            "duration": duration,
            "outcome": outcome,
        }
        text = f"client {peer.number} (uid {peer.uid}): {method}, id {raw_id}: {outcome}"
        if error is not None:
            fields["code"] = error.code
            text += f" ({error.code})"
        text += f" after {duration:.3f} s"
        if entry.tokens is not None:
            fields["tokens"] = entry.tokens
            text += f", {entry.tokens} tokens"
        if entry.prompt is not None:
            fields["prompt"] = entry.prompt
            text += f", prompt {entry.prompt!r}"
        self._emit(level, text, fields)

    def _emit(self, level: int, text: str, fields: dict[str, Any]) -> None:
        """Log an event, as :meth:`twisted.logger.Logger.emit` does with less detours.

        A line costs as much as a ping: mostly the functions that it passes through.
        """
        line = text if text.isprintable() else one_line(text)
        form = line
        if "{" in line or "}" in line:
            form = line.replace("{", "{{").replace("}", "}}")
        fields |= {
            "log_logger": _log,
            "log_level": _LEVELS[level],
            "log_namespace": _log.namespace,
            "log_source": None,
            "log_format": form,
            "log_time": time.time(),
            LINE: line,
        }
        _log.observer(fields)


def _level_of(entry: LogEntry) -> int:
    if entry.error is None:
        return _LOOKED if entry.is_quiet else _DONE
    return _REFUSED if isinstance(entry.error, NotAllowed) else _DONE


def tokens_of(result: object) -> int | None:
    """Return the number of generated tokens in a result; None if it has none."""
    for figures, name in TOKEN_FIGURES:
        found = result.get(figures) if isinstance(result, Mapping) else None
        tokens = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(tokens, int):
            return tokens
    return None


def _prompts_in(params: object) -> Iterator[str]:
    """Yield the texts of prompts in params, at any depth."""
    if isinstance(params, Mapping):
        for name, value in params.items():
            if name in PROMPTS and isinstance(value, str):
                yield value
            else:
                yield from _prompts_in(value)
    elif isinstance(params, (list, tuple)):
        for value in params:
            if isinstance(value, (Mapping, list, tuple)):
                yield from _prompts_in(value)
