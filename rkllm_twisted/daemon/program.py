"""The common parts of the programs that twistd runs: their options, errors, log and signals.

A program that cannot start prints one sentence and exits with status 1. Only this module knows
twistd's private names.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from twisted.application.service import MultiService
from twisted.logger import Logger
from twisted.python import usage

from rkllm_twisted.daemon.log_formats import Observer, observer_for
from rkllm_twisted.daemon.table_options import TableOptions
from rkllm_twisted.errors import StartupError

#: twistd's default for --pidfile.
TWISTD_PID_FILE = "twistd.pid"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = Logger("rkllm.daemon")

_make_observer: Callable[[], Observer | None] | None = None


def observer() -> Observer | None:
    """Make the log's observer. twistd's ``--logger`` takes only the name of such a function.

    :returns: the observer that the options ask for; None for twistd's own.
    """
    return None if _make_observer is None else _make_observer()


class ProgramOptions(TableOptions):
    """The options of a program that twistd runs.

    :cvar program: its name, for messages.
    """

    program: ClassVar[str]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse a command line; if it is wrong, print all mistakes and exit.

        twistd would print the whole help to standard output, and one mistake below it.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            lines = "\n".join(f"{self.program}: {line}" for line in str(error).splitlines())
            sys.exit(lines)

    def postOptions(self) -> None:
        """Make the values, then set twistd's own options for pid file and log.

        :raises usage.UsageError: a value is wrong, or twistd's options contradict ours.
        """
        super().postOptions()
        twistd = self.parent
        if twistd is None:
            return
        # No pid file by default. One that a killed daemon left would refuse the next daemon while
        # any other process has its number. The socket's lock ends with its holder, and holds the
        # number, too.
        if twistd["pidfile"] == TWISTD_PID_FILE:
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
def one_sentence(program: str) -> Iterator[None]:
    """Print a StartupError as one sentence, and exit."""
    try:
        yield
    except StartupError as error:
        sentence = f"{program}: {error}"
        if sys.stderr is not sys.__stderr__ and sys.__stderr__ is not None:
            print(sentence, file=sys.__stderr__)  # sys.stderr is the log by now
        sys.exit(sentence)


class Terminal(MultiService):
    """Prints errors of starting as sentences, and stops in order on a signal.

    twistd's own handlers would raise the signal again once everything has stopped; an ordered stop
    is a success and exits with 0.

    :param program: the name of the program, for errors.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def privilegedStartService(self) -> None:
        """Handle signals, then start."""
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        # Before the socket opens: from then on a client or a script may know of the daemon.
        _StopSignals(reactor).install()
        _ignore_rotation(reactor)
        with one_sentence(self._program):
            super().privilegedStartService()

    def startService(self) -> None:
        """Start, or print why not and exit."""
        with one_sentence(self._program):
            super().startService()


def _ignore_rotation(reactor: Any) -> None:
    """Ignore SIGUSR1 unless there is a log file to rotate: by default it ends the process."""

    def on_signal(*_: object) -> None:
        reactor.callFromThread(_log.warn, "SIGUSR1 is ignored: there is no --logfile to rotate")

    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, on_signal)


class _StopSignals:
    """Stops the reactor in order on SIGTERM and SIGINT. A second signal changes nothing."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._is_running = self._is_stopping = False

    def install(self) -> None:
        """Install the handlers, now and again after the reactor has installed its own."""
        self._set_handlers()
        self._reactor.addSystemEventTrigger("during", "startup", self._set_handlers)
        self._reactor.callWhenRunning(self._on_running)
        self._reactor.addSystemEventTrigger("after", "shutdown", self._forget_signal)

    def _forget_signal(self) -> None:
        # A signal that comes between the reactor's handlers and ours is kept there, and twistd
        # would raise it again after the ordered stop.
        self._reactor._exitSignal = None

    def _set_handlers(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_running(self) -> None:
        """Stop the reactor now if a signal came before it ran."""
        self._is_running = True
        if self._is_stopping:
            self._reactor.stop()

    def _on_signal(self, *_: object) -> None:
        if self._is_running and not self._is_stopping:
            self._reactor.callFromThread(self._reactor.stop)
        self._is_stopping = True
