"""The program of the process that holds the runtime, which may hang, crash or leak there.

One thread makes the calls. One reads what is not a call (abort, pause) and ends the process when
the daemon's connection ends. One sends a heartbeat. There is no reactor and no Twisted here: the
process starts quickly, and only calls wait for the runtime.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.errors import InternalError, RPCError, StartupError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation import messages
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.library import without_prompts
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.values import OnResults, Result
from rkllm_twisted.wire.encoded_result import EncodedResult
from rkllm_twisted.wire.framing import Netstrings, netstring

#: The child's end of the socket pair, and of the pipe for its heartbeat.
DESCRIPTOR, HEARTBEAT_FD = 3, 4
HEARTBEAT_INTERVAL_S = 1.0
#: Bytes of one read, always into the same buffer: new buffers, cut to what came, leave holes in
#: C's heap.
READ_BYTES = 2**20
#: Bytes of one message: the embeddings of a prompt, with room to spare.
MAX_MESSAGE_BYTES = 2**31 - 1
#: prctl(2): the signal to get when the parent dies.
PR_SET_PDEATHSIG = 1
#: setvbuf(3): print at the end of each line. Of glibc and musl.
IOLBF = 1


@attrs.frozen
class ChildConfig:
    """The settings of the child, which stand on its command line.

    :param library: see :func:`~rkllm_twisted.runtime.runtime.open_runtime`.
    :param descriptors: the limit of open files; the runtime uses one for each NPU buffer.
    :param cpus: the processors to run on; empty: all.
    :param oom_score_adj: see proc(5); None: the daemon's own.
    :param model_dirs: see :class:`~rkllm_twisted.runtime.files.Files`.
    :param log_prompts: may the runtime print prompts?
    :param cache_dir: see :class:`~rkllm_twisted.runtime.files.Files`.
    """

    library: str
    abi: str | None = None
    native_async: bool = False
    descriptors: int = 102400
    cpus: tuple[int, ...] = ()
    oom_score_adj: int | None = None
    model_dirs: tuple[str, ...] = ()
    log_prompts: bool = False
    cache_dir: str | None = None

    def to_argument(self) -> str:
        """Return the settings as one word of a command line."""
        return json.dumps(attrs.asdict(self))

    def environment(self, own: Mapping[str, str]) -> Mapping[str, str]:
        """Return the child's environment.

        :param own: the daemon's.
        """
        # twistd may have put its working directory on our path.
        path = os.pathsep.join(filter(None, sys.path))
        return without_prompts({**own, "PYTHONPATH": path}, self.log_prompts)

    @classmethod
    def from_argument(cls, word: str) -> ChildConfig:
        """Read the word of :meth:`to_argument`."""
        values = json.loads(word)
        lists = {name: tuple(values[name]) for name in ("cpus", "model_dirs")}
        return cls(**{**values, **lists})


class ChildServer:
    """Makes the calls that messages ask for.

    :param runtime: used by the thread of the calls, except for abort and pause.
    :param connection: to the daemon.
    """

    def __init__(self, runtime: IRuntime, connection: socket.socket) -> None:
        self._runtime = runtime
        self._connection = connection
        self._sending = threading.Lock()
        self._calls: queue.SimpleQueue[messages.Perform] = queue.SimpleQueue()
        self._do: Mapping[type, Callable[[Any], object]] = {
            messages.Perform: self._queue,
            messages.Now: self._now,
        }
        self._received = self._performed = 0

    def serve(self) -> None:
        """Make the calls, one after another, for ever. The callbacks come in this thread."""
        while True:
            self._perform(self._calls.get())

    def listen(self) -> None:
        """Read messages until the daemon's connection ends, then exit, whatever C does."""
        frames = Netstrings(MAX_MESSAGE_BYTES)
        buffer = memoryview(bytearray(READ_BYTES))
        with contextlib.suppress(ConnectionError):
            while size := self._connection.recv_into(buffer):
                for frame in frames.feed(bytes(buffer[:size])):
                    message = messages.to_child(frame)
                    self._do[type(message)](message)
        os._exit(0)

    def _queue(self, call: messages.Perform) -> None:
        self._received += 1
        self._calls.put(call)

    def _now(self, message: messages.Now) -> None:
        if self._received == self._performed:  # the run has just ended by itself
            return  # C would log the abort of nothing as an error
        with contextlib.suppress(RPCError):  # no run to abort or to pause
            getattr(self._runtime, message.verb)()

    def _send(self, message: messages.FromChild) -> None:
        data = netstring(messages.pack(message))
        with self._sending:
            try:
                self._connection.sendall(data)
            except ConnectionError:
                return  # listen() sees it, too

    def _perform(self, call: messages.Perform) -> None:
        _mark_start(call.mark)

        def send(results: Sequence[Result]) -> None:
            for result in results:
                if type(result) is EncodedResult:
                    self._send(messages.Token(call.number, result.json))
                else:
                    self._send(messages.Partial(call.number, result))

        try:
            result = self._result_of(call, send if call.streams else None)
        except RPCError as error:
            self._fail(call, error)
        except Exception:  # noqa: BLE001 - a bug here costs this call, not the model
            traceback.print_exc()  # on stderr, which is the daemon's log
            self._fail(call, InternalError("The runtime's process failed; the log says why."))
        else:
            self._send(messages.Done(call.number, result, self._runtime.loaded))

    def _result_of(self, call: messages.Perform, on_results: OnResults | None) -> Mapping[str, Any]:
        try:
            return self._runtime.perform(
                self._runtime.prepare(call.function, call.params), on_results
            )
        finally:
            self._performed += 1

    def _fail(self, call: messages.Perform, error: RPCError) -> None:
        loaded = self._runtime.loaded
        self._send(messages.Failed(call.number, error.code, error.message, error.data, loaded))


def _mark_start(mark: bytes) -> None:
    """Mark the start of a call in what the library prints."""
    ctypes.CDLL(None).fflush(None)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            os.write(descriptor, mark)


def send_heartbeats() -> None:
    """Write a byte a second. It needs no answer: a busy daemon does not lose its child."""
    with contextlib.suppress(BrokenPipeError):
        while True:
            os.write(HEARTBEAT_FD, b".")
            time.sleep(HEARTBEAT_INTERVAL_S)


def apply_limits(config: ChildConfig) -> None:
    """Set the signals, limits and processors of this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon handles the Ctrl-C of a terminal
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # C buffers a whole block of what it prints to a pipe; a crash would lose it.
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, IOLBF, ctypes.c_size_t(0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.descriptors if most == resource.RLIM_INFINITY else min(config.descriptors, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    if config.cpus:
        with _blaming("--child-cpus"):
            os.sched_setaffinity(0, config.cpus)
    if config.oom_score_adj is not None:
        with _blaming("--child-oom-score"):
            Path("/proc/self/oom_score_adj").write_text(str(config.oom_score_adj))


@contextlib.contextmanager
def _blaming(option: str) -> Iterator[None]:
    """Exit with one sentence if the system refuses what an option asks for."""
    try:
        yield
    except OSError as error:
        sys.exit(f"{option} is not possible here: {error.strerror}.")


def main(argv: list[str]) -> None:
    """Run the child until the daemon's connection ends."""
    config = ChildConfig.from_argument(argv[1])
    apply_limits(config)
    return_freed_blocks()
    try:
        note = partial(print, file=sys.stderr, flush=True)
        files = Files(config.model_dirs, note, cache_dir=config.cache_dir)
        runtime = open_runtime(
            config.library, config.abi, {}, native_async=config.native_async, files=files
        )
    except StartupError as error:
        sys.exit(str(error))
    for descriptor in (DESCRIPTOR, HEARTBEAT_FD):
        os.set_inheritable(descriptor, False)  # not for programs that the library may start
    server = ChildServer(runtime, socket.socket(fileno=DESCRIPTOR))
    for task in (server.listen, send_heartbeats):
        threading.Thread(target=task, name=task.__name__, daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main(sys.argv)
