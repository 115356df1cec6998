"""The program of the runtime's process in Python: the reference for the host in C.

It opens the library, calls what frames ask for, and sends back what C returns: it knows no layout
but the offsets told at its start, no JSON, no files. It is used where the other was not built, or
cannot run.

One thread makes the calls. One reads frames, makes aborts and pauses, and ends the process when the
daemon's connection ends. One sends a heartbeat. There is no reactor and no Twisted here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from rkllm_twisted.abi.image import NUMBER_BYTES, Argument, ArgumentPlace, Buffer
from rkllm_twisted.abi.result_copy import CallbackCopy
from rkllm_twisted.isolation import frames
from rkllm_twisted.isolation.config import CONNECTION_FD, HEARTBEAT_FD, HEARTBEAT_INTERVAL_S
from rkllm_twisted.isolation.frames import BadFrame, CallFrame, FrameKind, ReturnFrame
from rkllm_twisted.isolation.host_connection import HostConnection
from rkllm_twisted.isolation.host_memory import CallMemory, HostCall, ResultLayout
from rkllm_twisted.runtime.malloc import return_freed_blocks

#: Seconds between two looks at whether an asynchronous run is still under way.
POLL_INTERVAL_S = 0.5
#: What a callback returns: continue, pause, continue and release the arrays.
CONTINUE, PAUSE, RELEASE = 0, 1, 2
#: The states that end a run.
LAST_STATES = (2, 3)
#: prctl(2): the signal to get when the parent dies.
PR_SET_PDEATHSIG = 1
#: setvbuf(3): print at the end of each line. Of glibc and musl.
IOLBF = 1


class Host:
    """Makes the calls.

    :param native: the library.
    :param connection: to the daemon.
    """

    def __init__(self, native: Any, layout: ResultLayout, connection: HostConnection) -> None:
        self._native = native
        self._layout = layout
        self._connection = connection
        #: Guards the handle, and what is under way.
        self._lock = threading.Lock()
        self._handle = ctypes.c_void_p()
        self._calls: queue.SimpleQueue[HostCall] = queue.SimpleQueue()
        #: By number, those that have not returned.
        self._asked: dict[int, HostCall] = {}
        #: The one that is made.
        self._current: HostCall | None = None
        self._kept: dict[str, tuple[CallMemory, HostCall]] = {}
        returns = ctypes.c_int if layout.returns_int else None
        prototype = ctypes.CFUNCTYPE(returns, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        self._callback = prototype(self._receive)

    def serve(self) -> None:
        """Make the calls, one after another, for ever."""
        while True:
            self._perform(self._calls.get())

    def listen(self) -> None:
        """Read frames until the daemon's connection ends, then exit, whatever C does."""
        reader = frames.FrameReader()
        with contextlib.suppress(OSError, BadFrame):
            while data := self._connection.receive():
                for kind, number, body in reader.feed(data):
                    self._take(kind, number, body)
        os._exit(0)

    def _take(self, kind: int, number: int, body: Buffer) -> None:
        if kind == FrameKind.CALL:
            frame = CallFrame.decode(number, body)
            call = HostCall(frame, self._connection.descriptors(len(frame.image.descriptors)))
            with self._lock:
                self._asked[number] = call
            self._calls.put(call)
        elif kind == FrameKind.ABORT:
            self._abort(number)
        elif kind == FrameKind.PAUSE:
            with self._lock:
                if number in self._asked:
                    self._asked[number].pausing = True
        else:
            raise BadFrame(str(kind))

    def _abort(self, number: int) -> None:
        with self._lock:
            call = self._asked.get(number)
            if call is None:
                return  # it has ended
            call.aborted = call.called_back = True
            if call.began and self._handle:
                self._native.rkllm_abort(self._handle)

    def _perform(self, call: HostCall) -> None:
        frame = self._begin(call)
        block = CallMemory(frame.image)
        for one in frame.image.relocations:
            block.put(one.at, self._relocated(one.place, one.value, block, call))
        arguments = [self._value(one, block) for one in frame.image.arguments]
        with self._lock:
            call.began = not (call.aborted and frame.rows)
            handle, is_end = self._handle, frame.function == "rkllm_destroy"
            if is_end:
                self._handle = ctypes.c_void_p()
        if is_end:
            arguments = [handle.value or 0]
        function = getattr(self._native, frame.function)
        function.argtypes = [ctypes.c_uint64] * len(arguments)
        status = function(*arguments) if call.began else 0
        if frame.flags & frames.AWAIT_END and status == 0 and call.began:
            self._await_end(call)
        outputs = block.tail(frame.image.outputs, frame.image.size)
        with self._lock:
            self._current = None
            del self._asked[frame.number]
        self._keep(block, call)
        end = ReturnFrame(frame.number, status, bool(self._handle), outputs)
        self._connection.send(end.encode())

    def _begin(self, call: HostCall) -> CallFrame:
        """Mark the start of a call, which is the current one from now on."""
        with self._lock:
            self._current = call
        _mark_start(call.frame.mark)
        if call.lacks_descriptors:
            _fail_without_room()
        return call.frame

    def _relocated(
        self, place: ArgumentPlace, value: int, block: CallMemory, call: HostCall
    ) -> bytes:
        if place is ArgumentPlace.DESCRIPTOR:
            return (b"%d" % call.descriptors[value]).rjust(NUMBER_BYTES, b"/")
        address = self._value(Argument(place, value), block)
        return address.to_bytes(8, sys.byteorder)

    def _value(self, argument: Argument, block: CallMemory) -> int:
        if argument.place is ArgumentPlace.BLOCK:
            return block.address + argument.value
        if argument.place is ArgumentPlace.HANDLE:
            return self._handle.value or 0
        if argument.place is ArgumentPlace.HANDLE_ADDRESS:
            return ctypes.addressof(self._handle)
        if argument.place is ArgumentPlace.CALLBACK:
            return ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        return argument.value

    def _keep(self, block: CallMemory, call: HostCall) -> None:
        """Keep the memory until the next call of the same function; the files of a model, too."""
        name = call.frame.function
        if name != "rkllm_init":
            _close(call)
        if call.frame.image.relocations or call.frame.image.size:
            replaced = self._kept.get(name)
            self._kept[name] = (block, call)
            if replaced is not None and name == "rkllm_init":
                _close(replaced[1])

    def _await_end(self, call: HostCall) -> None:
        while not call.ended.wait(POLL_INTERVAL_S):
            # Some modes end without a last result. Before the first one the run may not have begun.
            if call.called_back and self._native.rkllm_is_running(self._handle) != 1:
                break

    def _receive(self, address: int | None, userdata: int | None, state: int) -> int:
        call, layout = self._current, self._layout
        if call is None or not call.frame.rows or call.frame.userdata != (userdata or 0):
            # Of a former run: its results are no longer waited for, and may be gone.
            return CONTINUE
        n_rows = 1 if state in LAST_STATES else call.frame.rows
        rows = layout.copies(address, n_rows) if address else ()
        if any(len(row.text or b"") > frames.MAX_TEXT_BYTES for row in rows):
            _fail("a result: its text has more than 16 MiB")
        self._connection.send(frames.encode_callback(CallbackCopy(userdata or 0, state, rows)))
        call.called_back = True
        if state in LAST_STATES:
            call.ended.set()
            return CONTINUE
        if call.pausing:
            call.ended.set()
            return PAUSE
        releases = layout.keeps_arrays and rows and layout.has_arrays(rows[0].structure)
        return RELEASE if releases else CONTINUE


def _close(call: HostCall) -> None:
    for descriptor in call.descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _mark_start(mark: bytes) -> None:
    """Mark the start of a call in what the library prints."""
    libc = ctypes.CDLL(None)
    for name in ("stdout", "stderr"):
        stream = ctypes.c_void_p.in_dll(libc, name)
        # A thread of the library may hold it for as long as it waits: then its lines come later.
        if libc.ftrylockfile(stream) == 0:
            libc.fflush_unlocked(stream)
            libc.funlockfile(stream)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            os.write(descriptor, mark)


def _fail(what: str) -> NoReturn:
    """Write one sentence to stderr, which is the daemon's log, and end the process."""
    with contextlib.suppress(OSError):
        os.write(2, f"E host: {what}.\n".encode())
    os._exit(1)


def _fail_without_room() -> NoReturn:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    _fail(
        f"the model's files cannot be opened: this process may open {most} files, and the library"
        " has opened them; raise LimitNOFILE= of the daemon's unit, or ulimit -Hn"
    )


def send_heartbeats() -> None:
    """Write a byte a second. It needs no answer: a busy daemon does not lose its child."""
    with contextlib.suppress(OSError):
        while True:
            os.write(HEARTBEAT_FD, b".")
            time.sleep(HEARTBEAT_INTERVAL_S)


def apply_limits(descriptors: int, cpus: str, oom_score_adj: str) -> None:
    """Set the signals, limits and processors of this process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the daemon gets them, too, and ends this process
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # C buffers a whole block of what it prints to a pipe; a crash would lose it.
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, IOLBF, ctypes.c_size_t(0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptors if most == resource.RLIM_INFINITY else min(descriptors, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    if cpus:
        with _blaming("--child-cpus"):
            os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
    if oom_score_adj:
        with _blaming("--child-oom-score"):
            Path("/proc/self/oom_score_adj").write_text(oom_score_adj)


@contextlib.contextmanager
def _blaming(option: str) -> Iterator[None]:
    """Exit with one sentence if the system refuses what an option asks for."""
    try:
        yield
    except OSError as error:
        _fail(f"{option} is not possible here: {error.strerror}")


def main(argv: list[str]) -> None:
    """Run the host until the daemon's connection ends.

    :param argv: see :meth:`rkllm_twisted.isolation.config.ChildConfig.command`.
    """
    library, layout, descriptors, cpus, oom_score_adj = argv[1:]
    version, *offsets = map(int, layout.split(","))
    if version != frames.FRAMES_VERSION:
        _fail("rkllm-host: the daemon is of another version; restart it")
    apply_limits(int(descriptors), cpus, oom_score_adj)
    return_freed_blocks()
    for descriptor in (CONNECTION_FD, HEARTBEAT_FD):
        os.set_inheritable(descriptor, False)  # not for programs that the library may start
    try:
        native = ctypes.CDLL(library)
    except OSError as error:
        _fail(f"the library cannot be loaded: {error}")
    connection = HostConnection(CONNECTION_FD, _fail)
    host = Host(native, ResultLayout(*offsets), connection)
    for task in (host.listen, send_heartbeats):
        threading.Thread(target=task, name=task.__name__, daemon=True).start()
    host.serve()


if __name__ == "__main__":
    main(sys.argv)
