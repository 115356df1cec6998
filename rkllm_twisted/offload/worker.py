"""The process that parses large messages: netstrings of JSON in, netstrings of MessagePack out.

It imports no Twisted and holds nothing but the current message.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

from rkllm_twisted.abi.arrays import to_array
from rkllm_twisted.abi.release import releases
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.offload import messages
from rkllm_twisted.values import FloatArray, WrongArray
from rkllm_twisted.wire.framing import Netstrings

#: If memory is short, the kernel ends this process before the daemon and the runtime.
OOM_SCORE_ADJ = 800
#: Bytes that are read from the daemon at once.
READ_BYTES = 1024 * 1024


def to_floats(value: object) -> FloatArray | WrongArray:
    """Make the float array of a parameter; the daemon adds the parameter's name to an error."""
    try:
        numbers = to_array("", value, "float")
    except InvalidParams as error:
        where = str((error.data or {})["parameter"])
        return WrongArray(where, error.message[len(where) + len(": ") : -len(".")])
    return FloatArray(bytes(memoryview(numbers).cast("B")), (len(numbers),))


#: Every field of rkllm.h, of any release, that points to floats and that clients send.
FLOATS = {
    member.name: to_floats
    for release in releases().values()
    for struct in release.structs.values()
    for member in struct.members
    if member.name and member.type.base == "float" and member.type.pointer
}


def serve(requests: BufferedIOBase, answers: BinaryIO) -> None:
    """Parse messages until the input ends."""
    framing = Netstrings(sys.maxsize)  # the daemon has looked at the length
    while data := requests.read1(READ_BYTES):
        for payload in framing.feed(data):
            packed = messages.read(payload, FLOATS)
            answers.write(b"%d:" % len(packed))
            answers.write(packed)
            answers.write(b",")
            answers.flush()


def main() -> None:
    """Serve the daemon that started this process, on its standard streams."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the daemon gets them, too, and ends this process
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
    with (
        contextlib.suppress(BrokenPipeError),
        open(sys.stdin.fileno(), "rb", closefd=False) as requests,
    ):
        serve(requests, sys.stdout.buffer)
    os._exit(0)  # nothing is to be flushed to a daemon that has gone


if __name__ == "__main__":
    main()
