"""Notices every call that may change the cache, in the NPU thread."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator

from twisted.internet.defer import CancelledError
from zope.interface import implementer

from rkllm_twisted.chat.plan import CLEAR
from rkllm_twisted.chat.trail import KnownCache, PlannedCall
from rkllm_twisted.errors import (
    InvalidParams,
    NotAllowed,
    NotInRelease,
    RPCError,
    RuntimeRefused,
)
from rkllm_twisted.interfaces import IRuntime, ITurn
from rkllm_twisted.runtime_interfaces import ICallObserver

LOAD, RELEASE = "rkllm_load_prompt_cache", "rkllm_release_prompt_cache"
#: After these functions, nothing of before is left.
FORGETTING = frozenset({"rkllm_init", "rkllm_destroy"})


@implementer(ICallObserver)
class CacheWatch:
    """Follows what the cache holds, and whose text that is. In the NPU thread only.

    All calls that are not made within :meth:`planned` are clients' own. Before a client's own run,
    a call removes what chat has left in the cache, so that the run cannot continue it.

    :ivar known: what the cache holds.
    :ivar conversation: the name of the conversation of the last planned calls, or None.
    :ivar adapters: how many LoRA adapters were loaded: one may have the name of another before.
    :ivar checked_load: ``ITurn.loads`` of the load whose tokenizer was last found to be right.
    :ivar slots_load: the same of the load of which it was found out whether slots have marks.
    :ivar has_slot_marks: True if they have, or if that was not to be found out.
    :ivar inexact_load: the same of the load whose runs have read other tokens than they were given.
    :ivar unsteered_load: the same of the load whose runs do not read tokens behind the cache.
    :ivar has_clients_prompt: True if a client may have loaded a saved prompt, which a run may use.
    """

    def __init__(self) -> None:
        self.known = KnownCache()
        self.conversation: str | None = None
        self.adapters = 0
        self.checked_load: int | None = None
        self.slots_load: int | None = None
        self.has_slot_marks = True
        self.inexact_load: int | None = None
        self.unsteered_load: int | None = None
        self.has_clients_prompt = False
        self._is_planned = False
        self._holds_chat = False
        self._has_prompt = False  # that load_prompt() has loaded
        self._has_left_prompt = False

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
            self._has_left_prompt = self._has_prompt

    def before(self, runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> Hashable:
        """Record a call.

        :returns: whose run it is for the policy of histories: all planned runs are of one client.
        :raises RPCError: chat's text cannot be removed; the call must not be made.
        """
        if self._has_left_prompt and function not in FORGETTING and runtime.loaded:
            with contextlib.suppress(RuntimeRefused):  # as if none is loaded
                runtime.perform(runtime.prepare(RELEASE, None))
            self._has_prompt = self._has_left_prompt = False
        if self._is_planned:
            return self
        if is_run:
            self._remove_chat(runtime)
        self.has_clients_prompt = self.has_clients_prompt or function == LOAD
        self.known.called(function)
        return client

    def after(self, function: str) -> None:
        """Record that a call has succeeded."""
        if function in FORGETTING:
            self._holds_chat = self._has_prompt = self._has_left_prompt = False
        if function in FORGETTING or function == RELEASE:
            self.has_clients_prompt = False
        self.adapters += function == "rkllm_load_lora"

    def load_prompt(self, turn: ITurn, path: str) -> None:
        """Load a saved prompt, within :meth:`planned`.

        :raises RuntimeRefused, InvalidParams, NotAllowed: the file cannot be used.
        :raises RPCError: as :meth:`ITurn.perform`.
        """
        self._has_prompt = True
        try:
            turn.perform(turn.prepare(LOAD, [path]))
        except (RuntimeRefused, InvalidParams, NotAllowed):
            self._has_prompt = False
            raise

    def release_prompt(self, turn: ITurn) -> None:
        """Release it. If that is not possible now, it is done before the next call."""
        with contextlib.suppress(RPCError, CancelledError):
            turn.perform(turn.prepare(RELEASE, None))
            self._has_prompt = self._has_left_prompt = False

    def _remove_chat(self, runtime: IRuntime) -> None:
        if not self._holds_chat or not runtime.loaded:
            return
        call: PlannedCall = self.known.empty_slot or CLEAR
        with contextlib.suppress(NotInRelease):  # a release that keeps nothing, either
            runtime.perform(runtime.prepare(call.function, list(call.params)))
        self.known.called("rkllm_set_chat_template")
        self._holds_chat = False
