"""The program of the process that holds a vision encoder, which may hang or crash there.

One thread reads messages, and ends the process when the daemon's connection ends, whatever the
library does. The main thread opens the encoder and runs it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from typing import Any

import attrs

from rkllm_twisted.encoders import messages
from rkllm_twisted.encoders.providers import providers
from rkllm_twisted.errors import (
    InternalError,
    InvalidParams,
    NoModel,
    RPCError,
    RuntimeRefused,
    StartupError,
)
from rkllm_twisted.wire.framing import Netstrings, netstring

#: Bytes of one read.
READ_BYTES = 2**20
#: Bytes of one message: a picture of 8,192 x 8,192, with room to spare.
MAX_MESSAGE_BYTES = 2**28


class EncoderWorker:
    """Answers messages, one after another."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._asked: queue.SimpleQueue[messages.ToProcess] = queue.SimpleQueue()
        self._encoder: Any = None

    def listen(self) -> None:
        """Read messages until the connection ends, then exit."""
        frames = Netstrings(MAX_MESSAGE_BYTES)
        with contextlib.suppress(ConnectionError):
            while data := self._connection.recv(READ_BYTES):
                for frame in frames.feed(data):
                    self._asked.put(messages.to_process(frame))
        os._exit(0)

    def serve(self) -> None:
        """Answer messages for ever."""
        while True:
            answer = messages.pack(self._answer(self._asked.get()))
            with contextlib.suppress(ConnectionError):  # listen() sees it, too
                self._connection.sendall(netstring(answer))

    def _answer(self, asked: messages.ToProcess) -> messages.FromProcess:
        try:
            return (
                self._open(asked)
                if isinstance(asked, messages.OpenEncoder)
                else self._encode(asked)
            )
        except RPCError as error:
            return messages.EncoderFailed(error.code, error.message, error.data)
        except StartupError as error:  # of the library
            return messages.EncoderFailed(RuntimeRefused.code, str(error))
        except Exception:  # noqa: BLE001 - a bug here costs one picture
            traceback.print_exc()  # on stderr, which is the daemon's log
            text = "The vision encoder's process failed; the log says why."
            return messages.EncoderFailed(InternalError.code, text)

    def _open(self, asked: messages.OpenEncoder) -> messages.EncoderOpened:
        provider = providers().get(asked.kind)
        if provider is None:
            raise InvalidParams(f"path: there is no plugin for {asked.kind}.")
        made = self._encoder = provider.open(asked.path, asked.cores, asked.library)
        return messages.EncoderOpened(
            *(attrs.asdict(made.about), made.width, made.height, made.tokens, made.row_width),
            outputs=made.outputs,
            warning=getattr(made, "warning", None),
        )

    def _encode(self, asked: messages.EncodePixels) -> messages.EncoderRows:
        if self._encoder is None:
            raise NoModel("The vision encoder is not open.")
        rows = self._encoder.encode(asked.pixels)
        return messages.EncoderRows(bytes(rows.data), rows.shape)


def main(argv: list[str]) -> None:
    """Run the process until the daemon's connection ends.

    :param argv: its second member is the descriptor of the connection.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the daemon gets them, too, and ends this process
    os.set_inheritable(int(argv[1]), False)
    worker = EncoderWorker(socket.socket(fileno=int(argv[1])))
    threading.Thread(target=worker.listen, name="listen", daemon=True).start()
    worker.serve()


if __name__ == "__main__":
    main(sys.argv)
