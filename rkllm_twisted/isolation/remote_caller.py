"""Calls C in a child process, for the runtime in the NPU thread.

Nothing here waits for a child but a call itself: abort and pause are sent without an answer, and
whether a run is under way is what the daemon knows.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Mapping, Sequence

import attrs
from zope.interface import implementer

from rkllm_twisted.abi.declarations import Function
from rkllm_twisted.abi.image import ALIGNMENT_BYTES, CallImage, image_of
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.abi.result_copy import CallbackCopy, TokenCopies
from rkllm_twisted.errors import InvalidParams, RPCError
from rkllm_twisted.isolation.channel import GARBLED, Channel
from rkllm_twisted.isolation.frames import (
    AWAIT_END,
    CallFrame,
    FrameKind,
    ReturnFrame,
    signal_frame,
)
from rkllm_twisted.isolation.host_reader import Received
from rkllm_twisted.runtime.callback import ResultCallback
from rkllm_twisted.runtime.local_caller import callback_argument
from rkllm_twisted.runtime.probe import Findings
from rkllm_twisted.runtime_interfaces import ICaller

#: The functions that make a run, and the flags of such a call.
_RUNS: Mapping[str, int] = {"rkllm_run": 0, "rkllm_run_async": AWAIT_END}
#: The value of a handle that is in the child.
_REMOTE_HANDLE = 1


@attrs.frozen(eq=False)
class Defaults:
    """The default RKLLMParam of a library that is in another process.

    :param data: its bytes; they point to ``texts``.
    """

    data: bytes
    texts: tuple[bytes, ...]

    @classmethod
    def of(cls, findings: Findings) -> Defaults:
        """Make those of what the probe found."""
        data = bytearray(findings.defaults)
        for at, text in findings.texts.items():
            address = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0
            data[at : at + 8] = address.to_bytes(8, "little")
        return cls(bytes(data), tuple(findings.texts.values()))


@implementer(ICaller)
class RemoteCaller:
    """See :class:`ICaller`. There is one for each child.

    :param end_of: returns the error for a call whose child has ended.
    :ivar number: of the last call.
    """

    def __init__(
        self,
        channel: Channel,
        layout: Layout,
        defaults: Defaults,
        end_of: Callable[[Channel, int], RPCError],
    ) -> None:
        self.channel = channel
        self.number = 0
        self.defaults = defaults.data
        self._texts = defaults.texts
        self._layout = layout
        self._end_of = end_of
        self._numbers = itertools.count(1)
        self._callback: ResultCallback | None = None
        #: The number of the run under way; 0: none is.
        self._run = 0

    def listen(self, callback: ResultCallback) -> CData:
        """See :meth:`ICaller.listen`. The child puts its own function in the place of this one."""
        self._callback = callback
        return callback_argument(self._layout, self._layout.callbacks["LLMResultCallback"]())

    def call(
        self, function: str, arguments: Sequence[CData], prepared: PreparedCall | None = None
    ) -> CData:
        """See :meth:`ICaller.call`.

        :raises RuntimeCrashed: the child has ended.
        """
        answer = _LOCAL.get(function)
        if answer is not None:
            return answer(self)
        alive = (*self._texts, *(prepared.alive if prepared else ()))
        descriptors = prepared.descriptors if prepared else ()
        declared = self._layout.release.functions[function]
        image = image_of(self._layout, declared, arguments, alive, descriptors)
        end = self._exchange(function, image)
        if len(end.outputs) != image.size - image.outputs:
            raise self._garbled(end.number)
        outputs_to(declared, arguments, end.outputs)
        if function == "rkllm_init":
            arguments[0]._obj.value = _REMOTE_HANDLE if end.has_handle else None
        return end.status

    def pause(self) -> None:
        """See :meth:`ICaller.pause`."""
        self.channel.signal(signal_frame(FrameKind.PAUSE, self._run))

    def _abort(self) -> int:
        run = self._run
        if run:
            self.channel.signal(signal_frame(FrameKind.ABORT, run))
        return 0 if run else -1

    def _is_running(self) -> int:
        return int(self._run != 0)

    def _default_param(self) -> CData:
        return self._layout.structs["RKLLMParam"].from_buffer_copy(self.defaults)

    def _exchange(self, function: str, image: CallImage) -> ReturnFrame:
        """Send a call and deliver its callbacks until it has returned.

        :raises InvalidParams: it is too large.
        """
        number = self.number = next(self._numbers)
        flags = _RUNS.get(function)
        assert self._callback is not None
        rows, userdata = (0, 0) if flags is None else self._callback.expected
        mark = self.channel.marks.of(number)
        frame = CallFrame(number, function, image, mark, rows, flags or 0, userdata)
        try:
            parts = frame.encode()
        except OverflowError:
            raise InvalidParams(
                f"The arguments of {function} have {image.size} bytes; at most 2 GiB go to the"
                " runtime's process. Send less."
            ) from None
        self._run = 0 if flags is None else number
        try:
            self.channel.send(*parts, descriptors=image.descriptors)
            end: ReturnFrame | None = None
            while end is None:
                end = self._deliver(self.channel.receive(), number)
        finally:
            self._run = 0
        self._callback.returned()
        if end.status == 0:
            self.channel.succeeded = True
        return end

    def _deliver(self, received: Sequence[Received], number: int) -> ReturnFrame | None:
        """Pass on what came together; return the end of the call, if it is there."""
        if not received:
            raise self._end_of(self.channel, number)
        assert self._callback is not None
        end: ReturnFrame | None = None
        copies: list[CallbackCopy | TokenCopies] = []
        for one in received:
            if not isinstance(one, ReturnFrame):
                copies.append(one)
            elif one.number == number and end is None:
                end = one
        try:
            self._callback.take(copies)
        except ValueError:
            raise self._garbled(number) from None
        return end

    def _garbled(self, number: int) -> RPCError:
        self.channel.fault = GARBLED
        return self._end_of(self.channel, number)


def outputs_to(function: Function, arguments: Sequence[CData], data: bytes) -> None:
    """Write what C has written elsewhere to the arguments that are outputs."""
    at = 0
    for parameter, argument in zip(function.parameters, arguments, strict=True):
        if parameter.output:
            size = ctypes.sizeof(argument)
            ctypes.memmove(argument, data[at : at + size], size)
            at += size + -size % ALIGNMENT_BYTES


#: The functions that the child is not asked for.
_LOCAL: Mapping[str, Callable[[RemoteCaller], CData]] = {
    "rkllm_createDefaultParam": RemoteCaller._default_param,
    "rkllm_abort": RemoteCaller._abort,
    "rkllm_is_running": RemoteCaller._is_running,
}
