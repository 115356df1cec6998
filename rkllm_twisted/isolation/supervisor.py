"""Sees to it that a child stands by, and gives up where none can be had."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.isolation.child import ChildConfig
from rkllm_twisted.isolation.process import BACK_OFF, TRIES, YOUNG, Channel, ChildProcess

#: Seconds that a child gets to end by itself when the daemon stops.
GRACE = 1.0


class Supervisor(Service):
    """Keeps one child process. All of it runs in the reactor thread.

    :ivar problem: how the last child ended that was not meant to; None when all is well again.
    :ivar failed: have several in a row ended as soon as they were started?
    """

    log = Logger()

    def __init__(self, reactor: Any, setup: ChildConfig) -> None:
        self._reactor = reactor
        self._setup = setup
        self._child: ChildProcess | None = None
        self._alive: set[ChildProcess] = set()
        self._young_deaths = 0
        self._later: IDelayedCall | None = None
        self._all_ended: Deferred[None] | None = None
        self.problem: str | None = None
        self.failed = False

    def startService(self) -> None:
        """Let a child stand by."""
        super().startService()
        self._spawn()

    def link(self) -> Channel:
        """The child that is to be talked to.

        :raises RuntimeCrashed: there is none, and why.
        """
        if self._child is None and not self.failed:
            self._spawn()
        if self._child is None:
            raise RuntimeCrashed(
                f"The runtime's process {self.problem}, {TRIES} times in a row; rkllm.init tries"
                " again.",
                {"reason": self.problem},
            )
        return self._child.link

    def fresh(self) -> Channel:
        """Have a child that nobody has used: retire the one there is, or try again."""
        self.failed = False
        self.problem = None
        self._young_deaths = 0
        if self._child is not None:
            self._child.retire()
            self._child = None
        self._spawn()
        return self.link()

    def kill(self) -> None:
        """End the child now, whatever it does; another takes its place."""
        if self._child is not None:
            self._child.kill()

    def is_fresh(self) -> bool:
        """Do all children that have not ended move?"""
        return all(child.is_fresh() for child in self._alive)

    def stopService(self) -> Deferred[None]:
        """Let all children end, and make sure that they do."""
        super().stopService()
        if self._later is not None and self._later.active():
            self._later.cancel()
        for child in self._alive:
            child.retire()
        if not self._alive:
            return succeed(None)
        self._all_ended = Deferred()
        self._later = self._reactor.callLater(GRACE, self._kill_all)
        return self._all_ended

    def _kill_all(self) -> None:
        for child in list(self._alive):
            child.kill()

    def _spawn(self) -> None:
        if self._child is None and self.running:
            child = ChildProcess(self._reactor, self._ended)
            child.start(self._setup)
            self._alive.add(child)
            self._child = child

    def _ended(self, child: ChildProcess) -> None:
        self._alive.discard(child)
        if child is self._child:
            self._child = None
        if not child.expected:
            self._crashed(child)
        if self._all_ended is not None and not self._alive:
            if self._later is not None and self._later.active():
                self._later.cancel()
            # In a turn of its own: Twisted is reaping its processes now, and whoever waits for this
            # may let the reactor drop the others meanwhile, which would then be reaped twice.
            self._reactor.callLater(0, self._all_ended.callback, None)
            self._all_ended = None

    def _crashed(self, child: ChildProcess) -> None:
        assert child.link.ending is not None
        self.problem = child.link.ending.reason()
        lived = self._reactor.seconds() - child.started
        self._young_deaths = 0 if child.link.succeeded or lived > YOUNG else self._young_deaths + 1
        self.failed = self._young_deaths >= TRIES
        self.log.error(
            "the runtime's process {reason} after {lived:.1f} s{more}",
            reason=self.problem,
            lived=lived,
            more="; no more are started until rkllm.init asks" if self.failed else "",
        )
        if not self.failed and self.running:
            delay = BACK_OFF * 2 ** (self._young_deaths - 1) if self._young_deaths else 0.0
            self._later = self._reactor.callLater(delay, self._spawn)
