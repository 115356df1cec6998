"""Policies of the KV cache: whose conversation it holds, and whether another may continue it.

The library keeps one history for all clients. A policy is called before each call, in the NPU
thread and within its turn, so that no other client's call comes between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from zope.interface import implementer

from rkllm_twisted.errors import NotInRelease, StartupError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.runtime_interfaces import ICallObserver, IHistory

CLEAR = "rkllm_clear_kv_cache"
#: By name, because the function has two parameters in 1.2.0 and four later.
KEEP_SYSTEM_PROMPT = {"keep_system_prompt": 1}


@implementer(IHistory)
class Observed:
    """A policy, and an observer that is called first.

    :ivar observer: None as long as nothing needs to know.
    """

    def __init__(self, policy: IHistory) -> None:
        self._policy = policy
        self.observer: ICallObserver | None = None

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """See :class:`IHistory`."""
        if self.observer is not None:
            client = self.observer.before(runtime, function, client, is_run)
        self._policy.before(runtime, function, client, is_run)

    def after(self, function: str) -> None:
        """See :class:`IHistory`."""
        self._policy.after(function)
        if self.observer is not None:
            self.observer.after(function)


@implementer(IHistory)
class Shared:
    """One history for all clients: the library's own behaviour."""

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """See :class:`IHistory`."""

    def after(self, function: str) -> None:
        """See :class:`IHistory`."""


@implementer(IHistory)
class PerConnection:
    """Clears the cache when a run comes from another client than the run before.

    The owner is the client of the last run that reached C. A cancelled run that never reached C
    changes nothing.
    """

    #: No run yet since the model was loaded: the first run need not clear anything.
    _NOBODY = object()
    #: Clearing failed: no client may continue, the next run tries again.
    _UNKNOWN = object()

    def __init__(self) -> None:
        self._owner: Hashable = self._NOBODY

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """See :class:`IHistory`."""
        if not is_run or not runtime.loaded:
            return
        if self._owner not in (self._NOBODY, client):
            self._owner = self._UNKNOWN
            runtime.perform(runtime.prepare(CLEAR, KEEP_SYSTEM_PROMPT))
        self._owner = client

    def after(self, function: str) -> None:
        """See :class:`IHistory`. An init that fails may have left the model before it loaded."""
        if function == "rkllm_init":
            self._owner = self._NOBODY


#: The values of ``--history``.
HISTORIES: Mapping[str, Callable[[], IHistory]] = {"shared": Shared, "connection": PerConnection}


def history_for(runtime: IRuntime, name: str) -> IHistory:
    """Make a policy by its name.

    :param runtime: the runtime that the policy is used with.
    :raises StartupError: the runtime's release cannot clear its cache.
    """
    if name == "connection":
        try:
            runtime.prepare(CLEAR, KEEP_SYSTEM_PROMPT)
        except NotInRelease:
            raise StartupError(
                "--history connection needs a runtime that can clear its cache, which came with"
                f" release 1.2.0, and this one has the interface of {runtime.version.abi}."
            ) from None
    return HISTORIES[name]()
