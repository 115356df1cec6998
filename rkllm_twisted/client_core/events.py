"""What the bytes of a daemon mean to a client; :class:`~.caller.Caller` reads them.

They are named tuples, which cost a client's start nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rkllm_twisted.values import Params


class Part(NamedTuple):
    """A partial result of a stream."""

    id: int
    result: Any


class Answer(NamedTuple):
    """The one answer to a request that went well; nothing follows for this id."""

    id: int
    result: Any


class Failed(NamedTuple):
    """The answer to a request that did not.

    :param id: None: it concerns the connection, so every request that is open has failed.
    """

    id: int | None
    error: Exception


class Notified(NamedTuple):
    """A notification that belongs to no request."""

    method: str
    params: Params


#: What comes for a request.
Arrival = Part | Answer | Failed
Event = Arrival | Notified
