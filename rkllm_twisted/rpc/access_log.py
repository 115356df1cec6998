"""A line in the log for who comes and goes, and for each request: whose, what, and what came of it.

Never what a prompt says, unless that is asked for. Where a line is not wanted, nothing is made of
it: the test is two comparisons.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from twisted.logger import Logger, LogLevel

from rkllm_twisted.errors import NotAllowed, RPCError
from rkllm_twisted.values import Params, Peer

#: Methods that only look, and may be called as often as a client likes: their success is for
#: debugging.
QUIET_METHODS = frozenset(
    {
        "rkllm.get_constants",
        "rkllm.is_running",
        "rpc.discover",
        "server.configure",
        "server.ping",
        "server.status",
        "server.version",
        "system.listMethods",
        "system.methodHelp",
        "system.methodSignature",
    }
)
#: Lines of one second; what comes beyond is counted. A client can connect, and ask for nonsense,
#: ten thousand times a second, and a disk must not fill with that.
MOST = 1000
#: Characters of a prompt.
LONGEST = 10_000
#: Fields that hold what a user said.
PROMPTS = frozenset({"prompt_input", "prompt"})

_log = Logger("rkllm.requests")

#: The log's levels, the least important first.
LEVELS = tuple(level.name for level in LogLevel.iterconstants())
_LOOKED, _DONE, _REFUSED = map(LEVELS.index, ("debug", "info", "warn"))


class LogEntry(msgspec.Struct, eq=False):
    """What is known of one request. There is one for each, so it must cost little.

    :param method: as it was asked for.
    :param id: as it was sent; None for a notification.
    :param begun: when it came, in seconds of the journal's clock.
    :ivar tokens: that a run has generated; None for what is no run.
    :ivar error: what it was answered with; None if it went well.
    :ivar prompt: what the user said, if that is to be logged.
    """

    method: str
    id: bytes | None
    begun: float
    tokens: int | None = None
    error: RPCError | None = None
    prompt: str | None = None


class AccessLog:
    """Writes the lines.

    :param level: of the log, one of :data:`LEVELS`; a line below it costs nothing.
    :param prompts: are prompts to be logged?
    :param clock: tells the time in seconds.
    :ivar quiet: methods whose success leaves no line.
    """

    def __init__(
        self,
        level: str = "info",
        prompts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._level = LEVELS.index(level)
        self.quiet = QUIET_METHODS if self._level > _LOOKED else frozenset()
        self.prompts = prompts
        self.clock = clock
        self._second, self._lines, self._left_out = 0, 0, 0

    def opened(self, peer: Peer, refusal: RPCError | None) -> None:
        """A client has connected.

        :param refusal: what it is turned away with, if it is.
        """
        level = _REFUSED if isinstance(refusal, NotAllowed) else _DONE
        if level >= self._level and self._has_room():
            self._emit(
                level,
                "client {client} {happened}: pid {pid}, uid {uid}, gid {gid}",
                client=peer.number,
                happened="connected" if refusal is None else f"turned away ({refusal.code})",
                pid=peer.pid,
                uid=peer.uid,
                gid=peer.gid,
            )

    def closed(self, peer: Peer, messages: int) -> None:
        """A client has left.

        :param messages: how many it has sent.
        """
        if self._level <= _DONE and self._has_room():
            self._emit(
                _DONE,
                "client {client} left after {messages} messages",
                client=peer.number,
                uid=peer.uid,
                messages=messages,
            )

    def note_params(self, entry: LogEntry, params: Params) -> None:
        """Remember what the user said; only where :attr:`prompts` are to be logged."""
        entry.prompt = " ".join(_prompts_in(params))[:LONGEST] or None

    def end(self, peer: Peer, entry: LogEntry) -> None:
        """It is answered."""
        if entry.error is None and entry.method in self.quiet:
            return
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
        self._left_out += self._lines > MOST
        return self._lines <= MOST

    def _write(self, peer: Peer, entry: LogEntry, level: int) -> None:
        fields: dict[str, Any] = {
            "client": peer.number,
            "uid": peer.uid,
            "method": entry.method[:100],
            "id": None if entry.id is None else entry.id.decode("ascii", "backslashreplace"),
            "duration": round(self.clock() - entry.begun, 6),
            "outcome": "ok" if entry.error is None else type(entry.error).__name__,
        }
        text = "client {client} (uid {uid}): {method}, id {id}: {outcome}"
        if entry.error is not None:
            fields["code"] = entry.error.code
            text += " ({code})"
        text += " after {duration:.3f} s"
        if entry.tokens is not None:
            fields["tokens"] = entry.tokens
            text += ", {tokens} tokens"
        if entry.prompt is not None:
            fields["prompt"] = entry.prompt
            text += ", prompt {prompt!r}"
        self._emit(level, text, **fields)

    def _emit(self, level: int, text: str, **fields: object) -> None:
        # Formatted here: Twisted's formatter takes as long as all else that a connection costs.
        done = text.format(**fields).replace("{", "{{").replace("}", "}}")
        _log.emit(LogLevel.lookupByName(LEVELS[level]), done, **fields)


def _level_of(entry: LogEntry) -> int:
    if entry.error is None:
        return _LOOKED if entry.method in QUIET_METHODS else _DONE
    return _REFUSED if isinstance(entry.error, NotAllowed) else _DONE


def tokens_of(result: object) -> int | None:
    """How many tokens a result says that it took to generate (RKLLMPerfStat)."""
    perf = result.get("perf") if isinstance(result, Mapping) else None
    tokens = perf.get("generate_tokens") if isinstance(perf, Mapping) else None
    return tokens if isinstance(tokens, int) else None


def _prompts_in(params: object) -> Iterator[str]:
    """Find what a user said, wherever it stands."""
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
