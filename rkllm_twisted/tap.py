"""``twistd rkllm``'s options, and the service for whoever embeds the daemon.

``makeService(options)`` only wires: it opens the library, so that a wrong one is found before
anything listens, and returns a service that has not started.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
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
    """An octal number from 0 to 0777, such as 0600.

    :raises ValueError: it is none.
    """
    mode = int(text, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError
    return mode


def positive(text: str) -> int:
    """A whole number from 1.

    :raises ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError
    return number


@attrs.frozen
class Setting:
    """An option whose value may come from the environment, too.

    :param default: as a person would write it.
    :param variable: of the environment; an option that is given goes before it.
    :param parse: makes the value; its docstring's first line says what it must be.
    """

    default: str
    variable: str | None = None
    parse: Callable[[str], object] = str

    def value(self, name: str, given: str | None, environ: Mapping[str, str]) -> object:
        """The value in force.

        :raises usage.UsageError: it is not usable; the text names where it came from.
        """
        source = f"--{name}"
        if given is None and self.variable is not None and environ.get(self.variable):
            source, given = self.variable, environ[self.variable]
        try:
            return self.parse(self.default if given is None else given)
        except ValueError:
            wanted = (self.parse.__doc__ or "").splitlines()[0].rstrip(".").lower()
            raise usage.UsageError(f"{source} must be {wanted}, not {given!r}.") from None


SETTINGS: Mapping[str, Setting] = {
    "socket": Setting("/tmp/rkllm.sock", "RKLLM_UDS_PATH"),
    "mode": Setting("0600", parse=octal),
    "max-clients": Setting("100", "RKLLM_MAX_CLIENTS", positive),
}


class Options(usage.Options):
    """What ``twistd rkllm`` takes."""

    synopsis = "[options]"
    longdesc = (
        "Serves Rockchip's RKLLM runtime (librkllmrt.so) as JSON-RPC 2.0 on a UNIX socket. On a"
        " machine without an NPU, --library cpu runs the embedded runtime on the processor."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["socket", "s", None, "Path of the socket. [default: $RKLLM_UDS_PATH or /tmp/rkllm.sock]"],
        ["mode", None, None, "Permission bits of the socket, octal. [default: 0600]"],
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
        ],
    ]

    optFlags: ClassVar[list[list[Any]]] = [
        [
            "native-async",
            None,
            "Let rkllm.run_async use C's own rkllm_run_async, which fails on many releases.",
        ],
    ]

    def postOptions(self) -> None:
        """Check the values, and fill in what comes from the environment.

        :raises usage.UsageError: a value is not usable.
        """
        for name, setting in SETTINGS.items():
            self[name] = setting.value(name, self[name], os.environ)


def makeService(options: Options, reactor: Any = None) -> IService:
    """Make the daemon, ready to start.

    :param options: parsed :class:`Options`.
    :param reactor: the one to run on; the global one where left out.
    :raises StartupError: the library or a plugin cannot be used, and what to do.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one
    methods = find_methods()
    runtime = open_runtime(
        options["library"], options["abi"], native_async=bool(options["native-async"])
    )
    pool = NPUThreadPool()
    npu = thread_npu(reactor, pool, runtime)
    about = About(reactor, npu, lambda: len(factory.connections))
    dispatcher = Dispatcher(methods, npu, about)
    factory = RPCFactory(dispatcher, reactor, max_clients=options["max-clients"])
    listener = UNIXSocketService(reactor, options["socket"], options["mode"], factory)
    return DaemonService(reactor, pool, npu, factory, listener)
