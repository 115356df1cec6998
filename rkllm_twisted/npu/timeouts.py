"""Timeouts of calls: the caller is answered, the call aborted, at last the runtime killed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import attrs
from twisted.internet.interfaces import IReactorTime

from rkllm_twisted.errors import TimedOut
from rkllm_twisted.rpc.deadline import Deadline

GIB = 2**30


@attrs.frozen
class Timeouts:
    """Timeouts in seconds.

    :param init: of loading a model; None: see :meth:`for_model`.
    :param first_token: of the first result of a run, and of any call that is neither run nor init.
    :param token: of each further result.
    :param abort: from the abort to the return of C; then the runtime is killed.
    """

    init: float | None = None
    first_token: float = 300.0
    token: float = 60.0
    abort: float = 5.0

    def for_model(self, path: str | None) -> float:
        """Return the timeout of loading a model: 30 s, and 45 s for each GiB of its file."""
        if self.init is not None:
            return self.init
        size = 0
        if path is not None:
            with contextlib.suppress(OSError):
                size = Path(path).stat().st_size
        return 30.0 + 45.0 * size / GIB


#: Function -> the option that sets its timeout.
OPTIONS: Mapping[str, str] = {"rkllm_init": "--init-timeout"}


class CallTimer:
    """The timeouts of the one call under way.

    :param on_timeout: called with the error for the caller when the call takes too long; it must
        abort the call.
    :param on_abort_timeout: called when the call has not returned after the abort.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeouts: Timeouts,
        on_timeout: Callable[[TimedOut], None],
        on_abort_timeout: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._on_timeout = on_timeout
        self._on_abort_timeout = on_abort_timeout
        self._timer: Deadline | None = None
        self._is_for_token = False
        self._function = ""

    def begin(self, function: str, model_path: str | None) -> None:
        """Start the timer of a call.

        :param model_path: of the model that the call loads, if it loads one.
        """
        self._function = function
        seconds = (
            self._timeouts.for_model(model_path)
            if function == "rkllm_init"
            else self._timeouts.first_token
        )
        self._set(seconds, OPTIONS.get(function, "--first-token-timeout"))

    def token(self) -> None:
        """Restart the timer: a result has come."""
        if self._timer is None:
            return
        if self._is_for_token:
            self._timer.restart()
        else:
            self._set(self._timeouts.token, "--token-timeout")
            self._is_for_token = True

    def end(self) -> None:
        """Stop the timer: the call has returned from C."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._is_for_token = False

    def aborted(self) -> None:
        """Start the timer of an aborted call, which must return from C soon."""
        self._start(self._timeouts.abort, self._on_abort_timeout)

    def _set(self, seconds: float, option: str) -> None:
        error = TimedOut(
            f"{self._function} took longer than {seconds:g} s; {option} sets how long it may take.",
            {"function": self._function, "seconds": seconds},
        )
        self._start(seconds, partial(self._on_timeout, error))

    def _start(self, seconds: float, expire: Callable[[], None]) -> None:
        # The runtime may be paused as well, and what it has sent may be unread.
        self.end()
        self._timer = Deadline(self._clock, seconds, expire)
