"""``twistd rkllm``: the same parts as :mod:`rkllm_twisted.tap`, for a person at a terminal.

A daemon that cannot start says why in one sentence and exits with status 1, where an application
that embeds the service gets the exception.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.python import usage

from rkllm_twisted.daemon import assembly
from rkllm_twisted.daemon.check import check
from rkllm_twisted.daemon.log_formats import Observer, observer_for
from rkllm_twisted.errors import StartupError
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.systemd.activation import activated_socket
from rkllm_twisted.systemd.inherited import SystemdEnvironment, take_environment
from rkllm_twisted.systemd.notify import NotifySocket
from rkllm_twisted.systemd.service import ReportingService

__all__ = ["Options", "makeService"]

#: Where twistd puts its process id unless told otherwise.
TWISTDS_PID_FILE = "twistd.pid"
STOPPING = (signal.SIGTERM, signal.SIGINT)


_make_observer: Callable[[], Observer | None] | None = None


def observer() -> Observer | None:
    """What twistd's ``--logger`` names: twistd takes nothing but the name of a function.

    :returns: what the options ask for; None: twistd's own observer.
    """
    return None if _make_observer is None else _make_observer()


class Options(assembly.Options):
    """What ``twistd rkllm`` takes."""

    def postOptions(self) -> None:
        """Do without twistd's pid file, unless one is asked for, and with a log of our form.

        The pid file would keep the daemon out for as long as a killed one's process id lives on in
        any other process. The lock beside the socket ends with its holder, and holds the number as
        well.
        """
        super().postOptions()
        twistd = self.parent
        if twistd is None:
            return
        if twistd["pidfile"] == TWISTDS_PID_FILE:
            twistd["pidfile"] = ""
        if not twistd["logger"] and not twistd["syslog"]:
            global _make_observer
            _make_observer = partial(observer_for, twistd, self["log-format"], self["log-level"])
            twistd["logger"] = f"{__name__}.{observer.__name__}"
        elif self["log-format"] != "text":
            raise usage.UsageError(
                "twistd's --logger and --syslog have a format of their own; leave out either them"
                " or --log-format."
            )


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except StartupError as error:
        sentence = f"twistd rkllm: {error}"
        if sys.stderr is not sys.__stderr__ and sys.__stderr__ is not None:
            print(sentence, file=sys.__stderr__)  # sys.stderr is the log by now
        sys.exit(sentence)


class _Terminal(MultiService):
    """Turns the errors of starting into sentences, and signals into a clean end.

    twistd's own handlers would let the process die of the signal once everything has stopped; an
    ordered stop is a success and exits with 0.
    """

    def privilegedStartService(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        # Before anybody can know that the daemon is there: this opens the socket.
        _Stopping(reactor).begin()
        with _one_sentence():
            super().privilegedStartService()

    def startService(self) -> None:
        with _one_sentence():
            super().startService()


class _Stopping:
    """Makes SIGTERM and SIGINT an ordered stop. A second one is not more urgent than the first."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._is_running = self._asked = False

    def begin(self) -> None:
        """Take the signals, and once more right after the reactor has taken them."""
        self._listen()
        self._reactor.addSystemEventTrigger("during", "startup", self._listen)
        self._reactor.callWhenRunning(self._running)
        self._reactor.addSystemEventTrigger("after", "shutdown", self._forget)

    def _forget(self) -> None:
        # For the signal that comes between the reactor's taking them and ours: twistd would die of
        # it now that everything has stopped in order.
        self._reactor._exitSignal = None

    def _listen(self) -> None:
        for number in STOPPING:
            signal.signal(number, self._stop)

    def _running(self) -> None:
        """Stop the reactor, which has begun, if a signal has come before."""
        self._is_running = True
        if self._asked:
            self._reactor.stop()

    def _stop(self, *_: object) -> None:
        if self._is_running and not self._asked:
            self._reactor.callFromThread(self._reactor.stop)
        self._asked = True


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    return_freed_blocks()
    terminal = _Terminal()
    with _one_sentence():
        if options["check"]:
            print(check(options))
            sys.exit()
        inherited = take_environment(os.environ)
        daemon = assembly.makeService(options, source=activated_socket(inherited.sockets))
        _reported(daemon, inherited).setServiceParent(terminal)
    return terminal


def _reported(daemon: IService, inherited: SystemdEnvironment) -> IService:
    """The daemon, with news of it for systemd if systemd wants any."""
    if inherited.notify is None:
        return daemon
    from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

    tell = NotifySocket(inherited.notify).tell
    return ReportingService(reactor, tell, inherited.watchdog, daemon)
