"""The process that holds the runtime, so that the runtime may hang, crash or leak in it.

One thread does the calls, one listens to what goes beside a call (abort, pause) and for the end of
the daemon, with which the process ends, and one lets the daemon hear a heartbeat. Neither reactor
nor Twisted is here: the process starts quickly, and nothing waits for the runtime but its calls.
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
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.errors import InternalError, RPCError, StartupError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation import messages
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.values import Result
from rkllm_twisted.wire.framing import Netstrings, netstring

#: The child's end of the socket pair, and of the pipe for its heartbeat.
DESCRIPTOR, HEART = 3, 4
#: Seconds between two heartbeats.
BEAT = 1.0
#: Bytes that are read at once, into one buffer: new ones, cut down to what came, leave holes in C's
#: heap.
READ = 2**20
#: Bytes of one message: a prompt's embeddings, with room to spare.
MAX_LENGTH = 2**31 - 1
#: prctl(2): the signal to get when the parent dies.
PR_SET_PDEATHSIG = 1
#: setvbuf(3): print at the end of each line. Of glibc and musl.
IOLBF = 1


@attrs.frozen
class ChildConfig:
    """What the daemon tells its child on the command line.

    :param library: see :func:`~rkllm_twisted.runtime.runtime.open_runtime`.
    :param descriptors: wanted limit of open files; the runtime uses one for each NPU buffer.
    :param cpus: the processors to run on, all where empty.
    :param oom_score_adj: see proc(5); None leaves the daemon's own.
    :param model_dirs: see :class:`~rkllm_twisted.runtime.files.Files`.
    """

    library: str
    abi: str | None = None
    native_async: bool = False
    descriptors: int = 102400
    cpus: tuple[int, ...] = ()
    oom_score_adj: int | None = None
    model_dirs: tuple[str, ...] = ()

    def to_argument(self) -> str:
        """As one word of a command line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_argument(cls, word: str) -> ChildConfig:
        """The other way round."""
        values = json.loads(word)
        lists = {name: tuple(values[name]) for name in ("cpus", "model_dirs")}
        return cls(**{**values, **lists})


class ChildServer:
    """Does what messages say.

    :param runtime: touched by the calls' thread, but for what goes beside a call.
    :param connection: to the daemon.
    """

    def __init__(self, runtime: IRuntime, connection: socket.socket) -> None:
        self._runtime = runtime
        self._connection = connection
        self._sending = threading.Lock()
        self._calls: queue.SimpleQueue[messages.Perform] = queue.SimpleQueue()
        self._do: Mapping[type, Callable[[Any], object]] = {
            messages.Perform: self._calls.put,
            messages.Now: self._now,
        }

    def serve(self) -> None:
        """Do the calls, one after another, for ever; the callbacks come in this thread."""
        while True:
            self._perform(self._calls.get())

    def listen(self) -> None:
        """Read messages until the daemon goes, and then end the process, whatever C does."""
        frames = Netstrings(MAX_LENGTH)
        buffer = memoryview(bytearray(READ))
        with contextlib.suppress(ConnectionError):
            while size := self._connection.recv_into(buffer):
                for frame in frames.feed(bytes(buffer[:size])):
                    message = messages.to_child(frame)
                    self._do[type(message)](message)
        os._exit(0)

    def _now(self, message: messages.Now) -> None:
        with contextlib.suppress(RPCError):  # there was nothing to abort or to pause
            getattr(self._runtime, message.verb)()

    def _send(self, message: messages.FromChild) -> None:
        data = netstring(messages.pack(message))
        with self._sending, contextlib.suppress(ConnectionError):  # listen() sees it, too
            self._connection.sendall(data)

    def _perform(self, call: messages.Perform) -> None:
        def partial(result: Result) -> None:
            self._send(messages.Partial(call.number, result))

        try:
            prepared = self._runtime.prepare(call.function, call.params)
            result = self._runtime.perform(prepared, partial if call.streams else None)
        except RPCError as error:
            self._fail(call, error)
        except Exception:  # noqa: BLE001 - a fault of ours costs this call, not the model
            traceback.print_exc()  # on stderr, which is the daemon's log
            self._fail(call, InternalError("The runtime's process failed; the log says why."))
        else:
            self._send(messages.Done(call.number, result, self._runtime.loaded))

    def _fail(self, call: messages.Perform, error: RPCError) -> None:
        loaded = self._runtime.loaded
        self._send(messages.Failed(call.number, error.code, error.message, error.data, loaded))


def send_heartbeats() -> None:
    """Say once a second that the process is not stopped."""
    with contextlib.suppress(BrokenPipeError):
        while True:
            os.write(HEART, b".")
            time.sleep(BEAT)


def apply_limits(setup: ChildConfig) -> None:
    """Take the rights and the place that the daemon wants its child to have."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the daemon's business
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # C keeps what is printed to a pipe until it has a block of it: a crash would take that along.
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, IOLBF, ctypes.c_size_t(0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = setup.descriptors if most == resource.RLIM_INFINITY else min(setup.descriptors, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    if setup.cpus:
        with _blaming("--child-cpus"):
            os.sched_setaffinity(0, setup.cpus)
    if setup.oom_score_adj is not None:
        with _blaming("--child-oom-score"):
            Path("/proc/self/oom_score_adj").write_text(str(setup.oom_score_adj))


@contextlib.contextmanager
def _blaming(option: str) -> Iterator[None]:
    """End with one sentence where the system does not do what an option asks for."""
    try:
        yield
    except OSError as error:
        sys.exit(f"{option} cannot be had here: {error.strerror}.")


def main(argv: list[str]) -> None:
    """Be the child until the daemon goes."""
    setup = ChildConfig.from_argument(argv[1])
    apply_limits(setup)
    return_freed_blocks()
    try:
        files = Files(setup.model_dirs, partial(print, file=sys.stderr, flush=True))
        runtime = open_runtime(
            setup.library, setup.abi, {}, native_async=setup.native_async, files=files
        )
    except StartupError as error:
        sys.exit(str(error))
    for descriptor in (DESCRIPTOR, HEART):
        os.set_inheritable(descriptor, False)  # not for programs that the library may start
    servant = ChildServer(runtime, socket.socket(fileno=DESCRIPTOR))
    for task in (servant.listen, send_heartbeats):
        threading.Thread(target=task, name=task.__name__, daemon=True).start()
    servant.serve()


if __name__ == "__main__":
    main(sys.argv)
