"""Notices every call that may change the cache, in the NPU thread."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator

from rkllm_twisted.chat.plan import CLEAR
from rkllm_twisted.chat.trail import KnownCache, PlannedCall
from rkllm_twisted.errors import NotInRelease
from rkllm_twisted.interfaces import IRuntime


class CacheWatch:
    """What the cache holds, and whose text that is. In the NPU thread only.

    All calls that are not made within :meth:`planned` are clients' own. Before a client's own run,
    a call removes what chat has left in the cache, so that the run cannot continue it.

    :ivar known: what the cache holds.
    :ivar conversation: the name of the conversation of the last planned calls, or None.
    """

    def __init__(self) -> None:
        self.known = KnownCache()
        self.conversation: str | None = None
        self._is_planned = False
        self._holds_chat = False

    @contextlib.contextmanager
    def planned(self, conversation: str | None = None) -> Iterator[KnownCache]:
        """Make calls that follow a plan; see :mod:`rkllm_twisted.chat.plan`.

        :param conversation: see :attr:`conversation`.
        """
        self._is_planned = self._holds_chat = True
        self.conversation = conversation
        try:
            yield self.known
        finally:
            self._is_planned = False

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> Hashable:
        """Take note of a call.

        :returns: whose run it is for the policy of histories: all planned runs are of one client.
        :raises RPCError: chat's text cannot be removed; the call must not be made.
        """
        if self._is_planned:
            return self
        if is_run:
            self._remove_chat(runtime)
        self.known.called(function)
        return client

    def after(self, function: str) -> None:
        """Take note that a call has succeeded."""
        if function in ("rkllm_init", "rkllm_destroy"):
            self._holds_chat = False

    def _remove_chat(self, runtime: IRuntime) -> None:
        if not self._holds_chat or not runtime.loaded:
            return
        call: PlannedCall = self.known.empty_slot or CLEAR
        with contextlib.suppress(NotInRelease):  # a release that keeps nothing, either
            runtime.perform(runtime.prepare(call.function, list(call.params)))
        self.known.called("rkllm_set_chat_template")
        self._holds_chat = False
