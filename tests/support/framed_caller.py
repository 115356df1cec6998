"""A caller that sends every call and every callback through frames, without another process."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from image_memory import ImageMemory
from zope.interface import implementer

from rkllm_twisted.abi.image import CallImage, image_of
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.abi.result_copy import CallbackCopy, ResultOffsets
from rkllm_twisted.isolation.frames import (
    CallFrame,
    FrameReader,
    ReturnFrame,
    encode_callback,
)
from rkllm_twisted.isolation.host import LAST_STATES
from rkllm_twisted.isolation.host_memory import ResultLayout
from rkllm_twisted.isolation.host_reader import HostReader
from rkllm_twisted.isolation.remote_caller import outputs_to
from rkllm_twisted.runtime.callback import ResultCallback
from rkllm_twisted.runtime.local_caller import LocalCaller, callback_argument
from rkllm_twisted.runtime_interfaces import ICaller


@implementer(ICaller)
class FramedCaller:
    """See :class:`ICaller`.

    :param native: the library of ctypes.
    :param local: answers what is not sent.
    """

    def __init__(self, native: Any, layout: Layout, local: LocalCaller) -> None:
        self.defaults = local.defaults
        self._native = native
        self._local = local
        self._layout = layout
        release = layout.release
        offsets = ResultOffsets.of(release)
        places = (offsets.text, offsets.hidden_states, offsets.hidden_counts)
        self._results = ResultLayout(
            *(*places, offsets.logits, offsets.logits_counts, offsets.size),
            returns_int=release.can_pause,
            keeps_arrays=release.keeps_arrays,
        )
        self._reader = HostReader(offsets.size)
        self._handle = ctypes.c_void_p()
        self._callback: ResultCallback | None = None
        self._rows = 1
        returns = ctypes.c_int if release.can_pause else None
        prototype = ctypes.CFUNCTYPE(returns, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        self._function = prototype(self._receive)

    def listen(self, callback: ResultCallback) -> CData:
        """See :meth:`ICaller.listen`."""
        self._callback = callback
        return callback_argument(self._layout, self._layout.callbacks["LLMResultCallback"]())

    def call(
        self, function: str, arguments: Sequence[CData], prepared: PreparedCall | None = None
    ) -> CData:
        """See :meth:`ICaller.call`."""
        if function == "rkllm_createDefaultParam":
            return self._local.call(function, arguments)
        declared = self._layout.release.functions[function]
        assert self._callback is not None
        self._rows, _ = self._callback.expected
        alive = prepared.alive if prepared else ()
        descriptors = prepared.descriptors if prepared else ()
        image = crossed(image_of(self._layout, declared, arguments, alive, descriptors), function)
        address = ctypes.cast(self._function, ctypes.c_void_p).value or 0
        memory = ImageMemory(image, self._handle, address)
        status = memory.call(self._native, function)
        end = ReturnFrame(1, status, bool(self._handle), memory.outputs())
        assert self._reader.feed(end.encode()) == [end]
        outputs_to(declared, arguments, end.outputs)
        if function == "rkllm_init":
            arguments[0]._obj.value = 1 if self._handle else None
        return status

    def pause(self) -> None:
        """See :meth:`ICaller.pause`."""

    def _receive(self, address: int | None, userdata: int | None, state: int) -> int:
        assert self._callback is not None
        batch = self._rows if state not in LAST_STATES else 1
        rows = self._results.copies(address, batch) if address else ()
        copy = CallbackCopy(userdata or 0, state, rows)
        self._callback.take([*self._reader.feed(encode_callback(copy))])  # type: ignore[arg-type]
        return 0


def crossed(image: CallImage, function: str) -> CallImage:
    """The image as it comes out of its frame."""
    data = b"".join(CallFrame(7, function, image, b"mark\n", 1).encode())
    [(_, number, body)] = FrameReader().feed(data)
    frame = CallFrame.decode(number, body)
    assert (frame.number, frame.function, frame.mark) == (7, function, b"mark\n")
    made = frame.image
    assert len(made.descriptors) == len(image.descriptors)
    return CallImage(
        made.arguments,
        made.relocations,
        made.segments,
        made.size,
        made.outputs,
        image.descriptors,
    )
