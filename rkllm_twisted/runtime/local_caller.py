"""Calls C in this process, with ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from zope.interface import implementer

from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.runtime.callback import ResultCallback
from rkllm_twisted.runtime.library import OpenedFile
from rkllm_twisted.runtime_interfaces import ICaller

#: Every trampoline ever made. C keeps their addresses and no library is ever unloaded: a late
#: callback would otherwise call freed memory.
_FOR_EVER: list[CData] = []


@implementer(ICaller)
class LocalCaller:
    """See :class:`ICaller`. The callback comes in the thread that called, or in one of C's."""

    def __init__(self, opened: OpenedFile, layout: Layout) -> None:
        self._layout = layout
        self._functions = {
            name: layout.prototype(function)((name, opened.native))
            for name, function in layout.release.functions.items()
        }
        self.defaults = bytes(self._functions["rkllm_createDefaultParam"]())

    def listen(self, callback: ResultCallback) -> CData:
        """See :meth:`ICaller.listen`."""
        trampoline = self._layout.callbacks["LLMResultCallback"](callback.receive)
        _FOR_EVER.append(trampoline)
        return callback_argument(self._layout, trampoline)

    def call(
        self, function: str, arguments: Sequence[CData], prepared: PreparedCall | None = None
    ) -> CData:
        """See :meth:`ICaller.call`."""
        return self._functions[function](*arguments)

    def pause(self) -> None:
        """See :meth:`ICaller.pause`: the callback itself asks."""


def callback_argument(layout: Layout, function: CData) -> CData:
    """Return the argument of rkllm_init: the function, or since 1.3.0 a structure of functions."""
    made = layout.structs.get("RKLLMCallback")
    return function if made is None else ctypes.pointer(made(result_callback=function))
