"""Ends what takes too long: answers the caller, aborts, and at last ends the runtime by force."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rkllm_twisted.errors import TimedOut

GIB = 2**30


@attrs.frozen
class Timeouts:
    """How long things may take, in seconds.

    :param init: loading a model; None: :meth:`for_model`.
    :param first_token: a run's first result, and any call that is neither run nor init.
    :param token: each further result.
    :param abort: from the abort to the return of C; then the runtime is ended by force.
    """

    init: float | None = None
    first_token: float = 300.0
    token: float = 60.0
    abort: float = 5.0

    def for_model(self, path: str | None) -> float:
        """What loading a model may take: 30 s, and 45 s for each GiB of its file."""
        if self.init is not None:
            return self.init
        size = 0
        if path is not None:
            with contextlib.suppress(OSError):
                size = Path(path).stat().st_size
        return 30.0 + 45.0 * size / GIB


#: Which option a call that has taken too long is to be helped with.
OPTIONS: Mapping[str, str] = {"rkllm_init": "--init-timeout"}


class CallTimer:
    """Watches the one call under way.

    :param late: called with the error for its caller, when it has taken too long; aborts it.
    :param stuck: called when it is not back after the abort either.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeouts: Timeouts,
        late: Callable[[TimedOut], None],
        stuck: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._late = late
        self._stuck = stuck
        self._timer: IDelayedCall | None = None
        self._function = ""

    def begin(self, function: str, model_path: str | None) -> None:
        """A call has begun.

        :param model_path: of the model that it loads.
        """
        self._function = function
        seconds = (
            self._timeouts.for_model(model_path)
            if function == "rkllm_init"
            else self._timeouts.first_token
        )
        self._set(seconds, OPTIONS.get(function, "--first-token-timeout"))

    def token(self) -> None:
        """A result has come."""
        if self._timer is not None:
            self._set(self._timeouts.token, "--token-timeout")

    def end(self) -> None:
        """The call is back from C."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def given_up(self) -> None:
        """Nobody waits for the call any more, and it was aborted."""
        self.end()
        self._timer = self._clock.callLater(self._timeouts.abort, self._stuck)

    def _set(self, seconds: float, option: str) -> None:
        self.end()
        self._timer = self._clock.callLater(seconds, self._expire, seconds, option)

    def _expire(self, seconds: float, option: str) -> None:
        self._late(
            TimedOut(
                f"{self._function} took longer than {seconds:g} s; {option} sets how long it may"
                " take.",
                {"function": self._function, "seconds": seconds},
            )
        )
