"""Decides which requests begin now, if several want different models and one is loaded at a time.

A request for the loaded model begins at once. A request for another waits until no request runs;
then its model is loaded. Requests for the loaded model may pass those that wait, but not more often
than :data:`MAX_PASSES` and not after :data:`MAX_WAIT_S`: otherwise one busy model would keep the
others out for ever, and without any passing two busy models would be loaded in turns.

Pure: the caller has the clock, and says what begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

#: How many later requests may begin before one that waits for another model.
MAX_PASSES = 16
#: After this time in seconds no request may pass one that waits. Loading takes 3 to 60 s.
MAX_WAIT_S = 30.0


@attrs.frozen
class WantedModel:
    """The model that a request wants, or that is loaded.

    :param name: the model's own name; None: whatever model is loaded.
    :param version: differs if the model's file or its parameters differ.
    :param is_exact: True if a loaded model of this name, but another version, will not do.
    """

    name: str | None = None
    version: str = ""
    is_exact: bool = False

    def is_met_by(self, loaded: WantedModel | None) -> bool:
        """True if a request for this model can run on the loaded one."""
        if self.name is None:
            return True
        if loaded is None or self.name != loaded.name:
            return False
        return self.version == loaded.version or not self.is_exact


@attrs.define
class _WaitingRequest:
    """A request that waits since a time in seconds, and how many later ones have begun."""

    number: int
    wanted: WantedModel
    since: float
    passed: int = 0


class SwapOrder:
    """The requests that wait for a model, and those that run.

    :param max_passes: see :data:`MAX_PASSES`.
    :param max_wait: see :data:`MAX_WAIT_S`.
    :ivar target: the model that is loaded, or that the requests which run will load; None: a model
        without a name, or none. Whoever learns that another model is loaded sets it, while no
        request runs.
    """

    def __init__(self, max_passes: int = MAX_PASSES, max_wait: float = MAX_WAIT_S) -> None:
        self.target: WantedModel | None = None
        self._max_passes = max_passes
        self._max_wait = max_wait
        self._waiting: dict[int, _WaitingRequest] = {}
        self._running: set[int] = set()

    def __len__(self) -> int:
        """The number of requests that wait."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        """The numbers of the requests that wait, the oldest first."""
        return iter(self._waiting)

    @property
    def is_running(self) -> bool:
        """True if any request runs."""
        return bool(self._running)

    def add(self, number: int, wanted: WantedModel, now: float) -> None:
        """Add a request; it waits until :meth:`begin` returns it.

        :param number: any number that no other request has.
        :param now: the time in seconds.
        """
        self._waiting[number] = _WaitingRequest(number, wanted, now)

    def remove(self, number: int) -> None:
        """Remove a request that has ended, or that was cancelled while it waited."""
        self._running.discard(number)
        self._waiting.pop(number, None)

    def begin(self, now: float) -> list[int]:
        """Return the requests that begin now, in order. From then on they run.

        :param now: the time in seconds.
        """
        if self._waiting and not self._running:
            oldest = next(iter(self._waiting.values())).wanted
            if not oldest.is_met_by(self.target):
                self.target = oldest
        return list(self._begin_on_target(now))

    def fail_target(self) -> list[int]:
        """Record that the target could not be loaded.

        :returns: the requests that wait for it; they are removed.
        """
        failed, self.target = self.target, None
        numbers = [
            one.number
            for one in self._waiting.values()
            if one.wanted.name is not None and one.wanted.is_met_by(failed)
        ]
        for number in numbers:
            del self._waiting[number]
        return numbers

    def _begin_on_target(self, now: float) -> Iterator[int]:
        earlier: list[_WaitingRequest] = []
        for one in list(self._waiting.values()):
            if one.wanted.is_met_by(self.target) and self._may_pass(earlier, now):
                for other in earlier:
                    other.passed += 1
                del self._waiting[one.number]
                self._running.add(one.number)
                yield one.number
            else:
                earlier.append(one)

    def _may_pass(self, earlier: list[_WaitingRequest], now: float) -> bool:
        return all(
            one.passed < self._max_passes and now - one.since < self._max_wait for one in earlier
        )
