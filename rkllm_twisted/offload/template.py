"""Renders a chat template in a process of its own, which the kernel ends if it takes too long."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

import msgspec
from zope.interface import implementer

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.segments import Pieces, from_json
from rkllm_twisted.chat.template import ITemplate
from rkllm_twisted.errors import InternalError, InvalidParams, TimedOut
from rkllm_twisted.wire.framing import Netstrings, netstring

#: Bytes that are read at once.
READ_BYTES = 1 << 16


@implementer(ITemplate)
class TemplateProcess:
    """A template in a process. Its methods block, and any thread may call them.

    The process ends when this object is dropped, and by itself if nothing is rendered for a while;
    the next rendering starts another.

    :param source: see :class:`~rkllm_twisted.chat.template.ChatTemplate`.
    :raises InvalidParams: the template cannot be used.
    :raises ExtraMissingError: jinja2 is not installed.
    :raises TimedOut: the template's code does not end.
    """

    def __init__(
        self, source: str, marks: Iterable[str], specials: Mapping[str, str] | None = None
    ) -> None:
        self._request = {"source": source, "marks": list(marks), "specials": dict(specials or {})}
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = Netstrings(sys.maxsize)
        with self._lock:
            self.marks: Sequence[str] = self._start()["marks"]

    def render(
        self,
        messages: Sequence[Mapping[str, object]],
        *,
        now: datetime,
        tools: Sequence[Mapping[str, object]] = (),
        generate: bool = True,
        variables: Mapping[str, object] | None = None,
    ) -> Pieces:
        """Render a conversation; see :class:`ITemplate`.

        :raises TimedOut: the rendering does not end.
        """
        request = {
            "messages": messages,
            "now": now.isoformat(),
            "tools": tools,
            "generate": generate,
            "variables": variables,
        }
        with self._lock:
            # It ends by itself if it has nothing to do for a while, perhaps at this very moment.
            answer = self._exchange(request) if self._process is not None else None
            if answer is None:
                self._start()
                answer = self._ask(request)
        return from_json(answer["pieces"])

    def _start(self) -> Mapping[str, Any]:
        self._answers = Netstrings(sys.maxsize)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rkllm_twisted.offload.template_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # twistd may have put its working directory on our path.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._finalizer = weakref.finalize(self, _stop, self._process)
        return self._ask(self._request)

    def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._exchange(request)
        if answer is None:
            raise _ended(0)
        return answer

    def _exchange(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Send a request and wait for the answer.

        :returns: the answer; None if the process has ended because it had nothing to do.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        answer = None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(netstring(msgspec.json.encode(request)))
            self._process.stdin.flush()
            answer = self._answer()
        if answer is None:
            if code := self._end():
                raise _ended(code)
            return None
        match answer:
            case {"refused": str(message)}:
                raise InvalidParams(message, answer["data"])
            case {"missing": str(message)}:
                raise ExtraMissingError(message, name=answer["package"])
        return answer

    def _answer(self) -> Mapping[str, Any] | None:
        """Wait for an answer; return None if the process has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), READ_BYTES):
            for payload in self._answers.feed(data):
                answer: Mapping[str, Any] = msgspec.json.decode(payload)
                return answer
        return None

    def _end(self) -> int:
        """Return the exit code of the process, which has ended; a signal's number below 0."""
        process, self._process = self._process, None
        assert process is not None
        code = process.wait()
        self._finalizer()
        return code


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, and close its pipes."""
    process.kill()  # no effect if it has ended
    process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # a request that did not leave
            stream.close()  # type: ignore[union-attr]  # both are pipes


def _ended(code: int) -> TimedOut | InternalError:
    """Return the error for a process that has ended by itself."""
    if code == -signal.SIGPROF:
        return TimedOut(
            "The model's chat template does not come to an end; put another one beside the model.",
            {"parameter": "model"},
        )
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return InternalError(f"The process that renders the model's chat template ended with {how}.")
