"""The process that renders one chat template: netstrings of JSON in, netstrings of JSON out.

A template comes with a model and is not trusted. It may loop for ever or fill the memory. The
kernel ends this process if a rendering uses too much of either.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from select import select
from typing import Any, BinaryIO

import msgspec

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.segments import as_json
from rkllm_twisted.chat.template import ChatTemplate
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.offload.worker import OOM_SCORE_ADJ, READ_BYTES
from rkllm_twisted.wire.framing import Netstrings, netstring

#: Seconds of computing. The templates of known models take milliseconds for hundreds of messages.
CPU_LIMIT_S = 5.0
#: The environment variable that sets another limit, for tests.
CPU_LIMIT_VARIABLE = "RKLLM_TEMPLATE_CPU_LIMIT"
#: Seconds without a request after which the process ends.
IDLE_S = 60.0
#: Of the address space, in bytes. The daemon's messages have up to 64 MiB.
MEMORY_LIMIT_BYTES = 1 << 31

WorkerAnswer = Mapping[str, Any]


class TemplateServer:
    """Compiles the template that the first request holds, and renders it for the others."""

    def __init__(self) -> None:
        self._template: ChatTemplate | None = None

    def answer(self, request: Mapping[str, Any]) -> WorkerAnswer:
        """Answer a request."""
        try:
            return self._do(request)
        except InvalidParams as error:
            return {"refused": error.message, "data": error.data}
        except ExtraMissingError as error:
            return {"missing": str(error), "package": error.name}

    def _do(self, request: Mapping[str, Any]) -> WorkerAnswer:
        if self._template is None:
            self._template = ChatTemplate(request["source"], request["marks"], request["specials"])
            return {"marks": list(self._template.marks)}
        pieces = self._template.render(
            request["messages"],
            now=datetime.fromisoformat(request["now"]),
            tools=request["tools"],
            generate=request["generate"],
            variables=request["variables"],
        )
        return {"pieces": as_json(pieces)}


def serve(requests: int, answers: BinaryIO) -> None:
    """Answer requests until the input ends, or none has come for a while.

    :param requests: a file descriptor.
    """
    framing, server = Netstrings(sys.maxsize), TemplateServer()
    limit = float(os.environ.get(CPU_LIMIT_VARIABLE, CPU_LIMIT_S))
    while select([requests], [], [], IDLE_S)[0] and (data := os.read(requests, READ_BYTES)):
        for payload in framing.feed(data):
            # Nothing handles SIGPROF, so the kernel ends the process, even inside a long operation.
            signal.setitimer(signal.ITIMER_PROF, limit)
            answer = msgspec.json.encode(server.answer(msgspec.json.decode(payload)))
            signal.setitimer(signal.ITIMER_PROF, 0)
            answers.write(netstring(answer))
            answers.flush()


def main() -> None:
    """Serve the daemon that started this process, on its standard streams."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the daemon gets them, too, and ends this process
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.fileno(), sys.stdout.buffer)
    os._exit(0)  # nothing is to be flushed to a daemon that has gone


if __name__ == "__main__":
    main()
