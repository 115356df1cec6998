"""A vision encoder in a process of its own, from the daemon's side. It blocks.

For the NPU thread it is one more :class:`IOpenedEncoder`. A crash or a hang of the library costs
the picture under way, and not the model, which another process holds. While it waits, it looks
whether its client still does: a library that hangs does not keep the NPU from the others.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from twisted.internet.defer import CancelledError
from zope.interface import implementer

from rkllm_twisted.encoders import messages
from rkllm_twisted.encoders.worker import MAX_MESSAGE_BYTES, READ_BYTES
from rkllm_twisted.errors import RPCError, RuntimeCrashed, TimedOut
from rkllm_twisted.isolation.output import log_line, reason_in
from rkllm_twisted.values import FloatArray
from rkllm_twisted.vision_interfaces import EncoderAbout, IOpenedEncoder
from rkllm_twisted.wire.framing import Netstrings, netstring

#: Seconds that a picture may take: encoders need 1 to 6.
ENCODE_TIMEOUT_S = 60.0
#: Seconds that opening a file may take, and those for each GiB of it, as for a model's.
OPEN_TIMEOUT_S, OPEN_TIMEOUT_S_PER_GIB = 60.0, 45.0
#: Seconds that a process has to answer once its client has left. Most pictures are ready by then,
#: and a process that is killed costs 2 to 17 seconds of loading.
CANCEL_GRACE_S = 5.0
#: Seconds from one look at the client to the next.
CHECK_INTERVAL_S = 0.1
#: Seconds that a process has to end once its connection has.
EXIT_WAIT_S = 1.0
#: The number of the last lines that go with the error of a crash.
MAX_CRASH_LINES = 20
#: Bytes of a line that is logged; the rest is cut.
MAX_LINE_BYTES = 4096

#: Raises CancelledError if what is made is not wanted any more.
Check = Callable[[], object]


def _no_check() -> None:
    """Go on: no client can leave."""


class _ExchangeTime:
    """The time of one exchange: so many seconds, and a few once its client has left."""

    def __init__(self, seconds: float, check: Check) -> None:
        self.seconds = seconds
        self._check = check
        self._end = monotonic() + seconds
        self._cancelled: CancelledError | None = None

    def next(self) -> float:
        """Return how many seconds to wait before the next look.

        :raises TimeoutError: it has taken too long.
        :raises CancelledError: too long for a client that has left.
        """
        now = monotonic()
        if self._cancelled is None:
            try:
                self._check()
            except CancelledError as error:
                self._cancelled = error
                self._end = min(self._end, now + CANCEL_GRACE_S)
        if now >= self._end:
            raise self._cancelled or TimeoutError
        return min(self._end - now, CHECK_INTERVAL_S)


@implementer(IOpenedEncoder)
class EncoderProcess:
    """An encoder in a process. Its end is noticed by the next call.

    :param asked: what to open.
    :param size: of the file, in bytes: a big one may take longer.
    :param descriptors: those that the process gets; the path may name one.
    :param take_line: called in a thread with each line that the library prints.
    :param check: raises CancelledError once the client has left; see :meth:`ITurn.check`.
    :ivar warning: see :class:`~rkllm_twisted.rknn.encoder.RKNNEncoder`.
    :raises RPCError: it cannot be opened; there is no process then.
    :raises CancelledError: the client has left, and it was not open soon after; the same.
    """

    def __init__(
        self,
        asked: messages.OpenEncoder,
        size: int = 0,
        descriptors: Sequence[int] = (),
        take_line: Callable[[str], object] = log_line,
        check: Check = _no_check,
    ) -> None:
        self._take_line = take_line
        self._lines: deque[str] = deque(maxlen=MAX_CRASH_LINES)
        self._frames = Netstrings(MAX_MESSAGE_BYTES)
        self._is_closed = False
        self._start(descriptors)
        try:
            seconds = OPEN_TIMEOUT_S + OPEN_TIMEOUT_S_PER_GIB * size / 2**30
            opened = self._exchange(asked, _ExchangeTime(seconds, check))
        except (RPCError, CancelledError):
            self.close()
            raise
        assert isinstance(opened, messages.EncoderOpened)
        self.about = EncoderAbout(**opened.about)
        self.width, self.height = opened.width, opened.height
        self.tokens, self.row_width, self.outputs = opened.tokens, opened.row_width, opened.outputs
        self.warning = opened.warning

    def _start(self, descriptors: Sequence[int]) -> None:
        self._connection, theirs = socket.socketpair()
        number = theirs.fileno()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rkllm_twisted.encoders.worker", str(number)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(number, *descriptors),
                # twistd may have put its working directory on our path.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            self._connection.close()
            raise RuntimeCrashed(
                f"The vision encoder's process could not be started: {error.strerror}."
            ) from None
        finally:
            theirs.close()
        self._reader = threading.Thread(target=self._read_lines, name="encoder-log", daemon=True)
        self._reader.start()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in iter(lambda: output.readline(MAX_LINE_BYTES), b""):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                self._lines.append(text)
                self._take_line(text)

    def encode(self, pixels: bytes, check: Check = _no_check) -> FloatArray:
        """See :meth:`IOpenedEncoder.encode`.

        :param check: raises CancelledError once the client has left.
        :raises RuntimeCrashed: its process has ended.
        :raises TimedOut: it took too long, and was killed.
        :raises CancelledError: the client has left, and it was not ready soon after: it was killed.
        """
        rows = self._exchange(messages.EncodePixels(pixels), _ExchangeTime(ENCODE_TIMEOUT_S, check))
        assert isinstance(rows, messages.EncoderRows)
        return FloatArray(rows.data, rows.shape)

    def _exchange(self, message: messages.ToProcess, wait: _ExchangeTime) -> messages.FromProcess:
        try:
            with contextlib.suppress(ConnectionError):  # receiving shows it
                self._send(netstring(messages.pack(message)), wait)
            answer = self._receive(wait)
        except CancelledError:
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise TimedOut(
                f"The vision encoder did not answer within {wait.seconds:g} s and was killed; load"
                " it again with vision.load.",
                {"seconds": wait.seconds},
            ) from None
        except OSError:  # closed meanwhile, in another thread
            answer = None
        if answer is None:
            raise self._crash()
        if isinstance(answer, messages.EncoderFailed):
            raise answer.error()
        return answer

    def _send(self, data: bytes, wait: _ExchangeTime) -> None:
        rest = memoryview(data)
        while rest:
            self._connection.settimeout(wait.next())
            with contextlib.suppress(TimeoutError):
                rest = rest[self._connection.send(rest) :]

    def _receive(self, wait: _ExchangeTime) -> messages.FromProcess | None:
        """Wait for an answer; None if the process has ended."""
        while True:
            self._connection.settimeout(wait.next())
            try:
                data = self._connection.recv(READ_BYTES)
            except TimeoutError:
                continue
            except ConnectionError:
                return None
            if not data:
                return None
            for frame in self._frames.feed(data):
                return messages.from_process(frame)

    def _crash(self) -> RuntimeCrashed:
        """Return the error for a process that has ended by itself."""
        self.close()
        code = self._process.returncode or 0  # none yet: the kernel does not let it end
        if code < 0:
            how: dict[str, object] = {"signal": -code}
            words = f"was killed by {signal.Signals(-code).name}"
        else:
            how, words = {"exit_code": code}, f"exited with code {code}"
        lines = list(self._lines)
        reason = reason_in(lines)
        why = f" ({reason})" if reason else ""
        return RuntimeCrashed(
            f"The vision encoder's process {words}{why}; load it again with vision.load.",
            {**how, "lines": lines},
        )

    def kill(self) -> None:
        """Kill the process, whatever it does. From any thread; the call under way then fails."""
        self._process.kill()

    def close(self) -> None:
        """See :meth:`IOpenedEncoder.close`. The kernel frees what the library holds."""
        if self._is_closed:
            return
        self._is_closed = True
        self._connection.close()
        for end in (lambda: None, self._process.kill):
            end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_WAIT_S)
                break
        self._reader.join(EXIT_WAIT_S)
