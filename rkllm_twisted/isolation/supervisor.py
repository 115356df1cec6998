"""Keeps a child process running: starts another when one ends, up to a number of failures."""

from __future__ import annotations

import os
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.isolation.channel import Channel
from rkllm_twisted.isolation.config import ChildConfig
from rkllm_twisted.isolation.process import ChildProcess
from rkllm_twisted.runtime.library import LOG_LEVEL, MAX_LEVEL_WITHOUT_PROMPTS

_log = Logger("rkllm.child")

#: The time that a child has to exit by itself when the daemon stops.
CHILD_EXIT_WAIT_S = 1.0
#: A child that ends so soon after its start, without a successful call, has failed to start. After
#: so many failures in a row no child is started until rkllm.init asks.
EARLY_EXIT_S, MAX_EARLY_EXITS = 60.0, 3
#: The delay before the second try; it doubles for each further one.
BACK_OFF_S = 0.5


class Supervisor(Service):
    """Keeps one child process running. Used in the reactor thread only.

    :ivar problem: how the last child ended that crashed; None after a fresh start.
    :ivar crashes: how many children have crashed.
    :ivar failed: True if several children in a row have failed to start.
    """

    def __init__(self, reactor: Any, config: ChildConfig) -> None:
        self._reactor = reactor
        self._config = config
        self._child: ChildProcess | None = None
        self._alive: set[ChildProcess] = set()
        self._early_exits = 0
        self._timer: IDelayedCall | None = None
        self._all_ended: Deferred[None] | None = None
        self.problem: str | None = None
        self.crashes = 0
        self.failed = False

    def startService(self) -> None:
        """Start a child."""
        super().startService()
        if self._config.environment(os.environ).get(LOG_LEVEL) != os.environ.get(LOG_LEVEL):
            _log.warn(
                "{name}={value} makes the runtime print prompts; it is {instead} for the runtime"
                " unless --log-prompts is given",
                name=LOG_LEVEL,
                value=os.environ.get(LOG_LEVEL),
                instead=MAX_LEVEL_WITHOUT_PROMPTS,
            )
        if self._config.host_reason is not None:
            _log.warn(
                "the program of the runtime's process is the one in Python, which takes more memory"
                " and time: the one in C {reason}",
                reason=self._config.host_reason,
            )
        self._spawn()

    def channel(self) -> Channel:
        """Return the connection to the child.

        :raises RuntimeCrashed: there is no child, and why.
        """
        if self._child is None and not self.failed:
            self._spawn()
        if self._child is None:
            often = f", {MAX_EARLY_EXITS} times in a row" if self.failed else ""
            raise RuntimeCrashed(
                f"The runtime's process {self.problem}{often}; rkllm.init tries again.",
                {"reason": self.problem},
            )
        return self._child.channel

    def lines_of(self, channel: Channel, call: int) -> tuple[str, ...]:
        """Return the last lines that a child printed during a call.

        :param channel: the connection to the child.
        """
        found = (child.lines_of(call) for child in self._alive if child.channel is channel)
        return next(found, ())

    def restart(self) -> Channel:
        """Replace the child, if there is one, by a new one. Count no earlier failures."""
        self.failed = False
        self.problem = None
        self._early_exits = 0
        if self._child is not None:
            self._child.retire()
            self._child = None
        self._spawn()
        return self.channel()

    def kill(self) -> None:
        """Kill the child, whatever it does; another takes its place."""
        if self._child is not None:
            self._child.kill()

    def kill_child(self, channel: Channel) -> None:
        """Kill the child at the end of a connection, if it has not ended."""
        for child in self._alive:
            if child.channel is channel:
                child.kill()

    def is_alive(self) -> bool:
        """True if all children that have not ended have a recent heartbeat."""
        return all(child.is_alive() for child in self._alive)

    def stopService(self) -> Deferred[None]:
        """Make all children exit; kill those that do not."""
        super().stopService()
        self._cancel_timer()
        for child in self._alive:
            child.retire()
        if not self._alive:
            return succeed(None)
        self._all_ended = Deferred()
        self._timer = self._reactor.callLater(CHILD_EXIT_WAIT_S, self._kill_all)
        return self._all_ended

    def _kill_all(self) -> None:
        for child in list(self._alive):
            child.kill()

    def _spawn(self) -> None:
        if self._child is None and self.running:
            child = ChildProcess(self._reactor, self._ended)
            try:
                child.start(self._config)
            except OSError as error:  # no descriptor, process or memory is left
                self._failed_start(f"could not be started: {error.strerror}", 0.0)
                return
            self._alive.add(child)
            self._child = child

    def _ended(self, child: ChildProcess) -> None:
        self._alive.discard(child)
        if child is self._child:
            self._child = None
        if not child.expected:
            self._crashed(child)
        if self._all_ended is not None and not self._alive:
            self._cancel_timer()
            # Not in this turn: Twisted is reaping processes now, and a callback that makes it reap
            # again would have the others reaped twice.
            self._reactor.callLater(0, self._all_ended.callback, None)
            self._all_ended = None

    def _crashed(self, child: ChildProcess) -> None:
        assert child.channel.exit is not None
        self.crashes += 1
        reason = child.channel.exit.reason()
        lived = self._reactor.seconds() - child.started
        if child.channel.succeeded or lived > EARLY_EXIT_S:
            self._early_exits = 0
            self._report(reason, lived)
            self._spawn_later(0.0)
        else:
            self._failed_start(reason, lived)

    def _failed_start(self, reason: str, lived: float) -> None:
        """Count a child that failed to start, and try again later unless there were too many."""
        self._early_exits += 1
        self.failed = self._early_exits >= MAX_EARLY_EXITS
        self._report(reason, lived)
        if not self.failed:
            self._spawn_later(BACK_OFF_S * 2 ** (self._early_exits - 1))

    def _report(self, reason: str, lived: float) -> None:
        self.problem = reason
        _log.error(
            "the runtime's process {reason} after {lived:.1f} s{more}",
            reason=reason,
            lived=lived,
            more="; no more are started until rkllm.init asks" if self.failed else "",
        )

    def _spawn_later(self, seconds: float) -> None:
        if self.running:
            self._cancel_timer()
            self._timer = self._reactor.callLater(seconds, self._spawn)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
