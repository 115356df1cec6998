"""One request on its way from a client of the front to a board."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from rkllm_twisted.fleet_service.choice import Wanted
from rkllm_twisted.fleet_service.retries import Cause
from rkllm_twisted.values import OnResults

#: Methods that need the model's files but no turn of the NPU: a busy board answers them, too.
WITHOUT_TURN = frozenset(
    {"chat.render", "models.show", "tokens.count", "tokens.decode", "tokens.encode"}
)


class CallFailed(Exception):
    """A call that no daemon has answered.

    :param cause: why.
    """

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


@attrs.define(eq=False)
class FleetCall:
    """A request.

    :param method: what the board's daemon is to do.
    :param params: for it, as JSON values.
    :param client: the turns go round the clients.
    :param conversation: requests with the same text share a connection to the board's daemon.
    :param on_results: called with partial results.
    :param model: the model that the request names; None: it names none.
    :param is_history_run: a run of the kind that may keep history and continue one.
    :param keeps_history: it keeps history, see :func:`.affinity.keeps_history`.
    :param key: of the conversation whose messages it has, see :func:`.affinity.conversation_key`.
    :ivar at_model: the name of the model that the board must have.
    :ivar continues: it continues the history that a board has.
    :ivar board: the board that has it, or has had it last.
    :ivar since: when it came, in seconds of the front's clock.
    :ivar results: how many partial results have come.
    :ivar retries: how often it was tried again after something that may have run.
    :ivar work: the call under way.
    :ivar outcome: the answer for the client.
    """

    method: str
    params: Mapping[str, Any] | Sequence[Any] | None
    client: Hashable
    conversation: str
    on_results: OnResults
    model: str | None = None
    is_history_run: bool = False
    keeps_history: bool = False
    key: str | None = None
    at_model: str | None = None
    continues: bool = False
    board: str | None = None
    since: float = 0.0
    results: int = 0
    retries: int = 0
    work: Deferred[Any] | None = None
    outcome: Deferred[Any] = attrs.field(factory=Deferred)

    @property
    def is_run(self) -> bool:
        """True if it waits for a turn of a board's NPU."""
        return self.method not in WITHOUT_TURN

    def wanted(self, model: str, must: str | None, prefers: str | None) -> Wanted:
        """Return what it needs."""
        return Wanted(model, must, prefers, self.since, self.is_run)

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless the client has left."""
        if not self.outcome.called:
            self.outcome.errback(error)

    def succeed(self, result: Any) -> None:
        """Answer, unless the client has left."""
        if not self.outcome.called:
            self.outcome.callback(result)
