"""Whose conversation the KV cache holds, and whether another client may read on in it.

The library keeps one history for everybody who uses it. A policy is asked before each call, in the
NPU thread, with the turn taken: what it does and the call are one step for everybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Protocol

from rkllm_twisted.errors import NotInRelease, StartupError
from rkllm_twisted.interfaces import IRuntime

CLEAR = "rkllm_clear_kv_cache"
#: By name, because the function has two parameters in 1.2.0 and four later.
KEEP_SYSTEM_PROMPT = {"keep_system_prompt": 1}


class History(Protocol):
    """What is done before a call so that its client sees only what it may."""

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """Prepare the cache for a call. In the NPU thread.

        :raises RPCError: that failed, and the call must not be made.
        """

    def after(self, function: str) -> None:
        """Take note of a call that has succeeded. In the NPU thread."""


class Shared:
    """One history for everybody: the library's own behaviour."""

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """See :class:`History`."""

    def after(self, function: str) -> None:
        """See :class:`History`."""


class PerConnection:
    """The cache is cleared when a run comes from another client than the run before."""

    #: No run yet since the model was loaded: there is nothing to read on in.
    _NOBODY = object()
    #: Clearing failed: it is nobody's to read on in.
    _UNKNOWN = object()

    def __init__(self) -> None:
        self._owner: Hashable = self._NOBODY

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """See :class:`History`."""
        if not is_run or not runtime.loaded:
            return
        if self._owner not in (self._NOBODY, client):
            self._owner = self._UNKNOWN
            runtime.perform(runtime.prepare(CLEAR, KEEP_SYSTEM_PROMPT))
        self._owner = client

    def after(self, function: str) -> None:
        """See :class:`History`. An init that fails may have left the model before it loaded."""
        if function == "rkllm_init":
            self._owner = self._NOBODY


#: What ``--history`` may be.
HISTORIES: Mapping[str, Callable[[], History]] = {"shared": Shared, "connection": PerConnection}


def history_for(runtime: IRuntime, name: str) -> History:
    """Make the policy of a name.

    :param runtime: that it is to be used with.
    :raises StartupError: the runtime's release cannot do it.
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
