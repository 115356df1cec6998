"""``twistd rkllm``'s options, and the service for whoever embeds the daemon.

``makeService(options)`` only wires: it opens the library, so that a wrong one is found before
anything listens, and returns a service that has not started.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.python import usage

from rkllm_twisted.binding.runtime import open_runtime
from rkllm_twisted.daemon import About, DaemonService
from rkllm_twisted.dispatch import Dispatcher
from rkllm_twisted.listening import UNIXSocketService
from rkllm_twisted.npu import NPUThreadPool, thread_npu
from rkllm_twisted.protocol import RPCFactory
from rkllm_twisted.registry import find_methods


def octal(text: str) -> int:
    """A file mode such as ``0600``.

    :raises ValueError: it is none.
    """
    mode = int(text, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError("a mode is an octal number from 0 to 0777, such as 0600")
    return mode


def positive(text: str) -> int:
    """A whole number from 1.

    :raises ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError("it must be a whole number from 1")
    return number


octal.coerceDoc = "Must be an octal number such as 0600."  # type: ignore[attr-defined]
positive.coerceDoc = "Must be a whole number from 1."  # type: ignore[attr-defined]


class Options(usage.Options):
    """What ``twistd rkllm`` takes."""

    synopsis = "[options]"
    longdesc = (
        "Serves Rockchip's RKLLM runtime (librkllmrt.so) as JSON-RPC 2.0 on a UNIX socket. On a"
        " machine without an NPU, --library cpu runs the embedded runtime on the processor."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["socket", "s", None, "Path of the socket. [default: $RKLLM_UDS_PATH or /tmp/rkllm.sock]"],
        ["mode", None, "0600", "Permission bits of the socket, octal.", octal],
        [
            "library",
            "l",
            None,
            "librkllmrt.so's path, or 'cpu' for the embedded runtime."
            " [default: $RKLLM_LIBRARY or the loader's path]",
        ],
        ["abi", None, None, "The runtime's release, where it does not say it itself: 1.3.0 …"],
        [
            "max-clients",
            None,
            None,
            "How many may be connected at once. [default: $RKLLM_MAX_CLIENTS or 100]",
            positive,
        ],
    ]

    def postOptions(self) -> None:
        """Fill in what comes from the environment.

        :raises usage.UsageError: a variable's value is not usable.
        """
        if self["socket"] is None:
            self["socket"] = os.environ.get("RKLLM_UDS_PATH") or "/tmp/rkllm.sock"
        if self["max-clients"] is None:
            given = os.environ.get("RKLLM_MAX_CLIENTS") or "100"
            try:
                self["max-clients"] = positive(given)
            except ValueError:
                raise usage.UsageError(
                    f"RKLLM_MAX_CLIENTS must be a whole number from 1, not {given!r}"
                ) from None


def makeService(options: Options, reactor: Any = None) -> IService:
    """Make the daemon, ready to start.

    :param options: parsed :class:`Options`.
    :param reactor: the one to run on; the global one where left out.
    :raises StartupError: the library or a plugin cannot be used, and what to do.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one
    methods = find_methods()
    runtime = open_runtime(options["library"], options["abi"])
    pool = NPUThreadPool()
    npu = thread_npu(reactor, pool, runtime)
    about = About(reactor, npu, lambda: len(factory.connections))
    dispatcher = Dispatcher(methods, npu, about)
    factory = RPCFactory(dispatcher, reactor, max_clients=options["max-clients"])
    listener = UNIXSocketService(reactor, options["socket"], options["mode"], factory)
    return DaemonService(reactor, pool, npu, factory, listener)
