"""The messages of a daemon, as a client sees them.

These are named tuples in a module of their own, because a program that imports a client should not
have to import msgspec, as :mod:`~rkllm_twisted.client_core.connection` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rkllm_twisted.values import Params


class Part(NamedTuple):
    """A partial result of a stream."""

    id: int
    result: Any


class FinalAnswer(NamedTuple):
    """The one successful answer to a request; nothing follows for this id."""

    id: int
    result: Any


class ErrorAnswer(NamedTuple):
    """The one error answer to a request.

    :param id: None if the error concerns the connection: every open request has failed.
    """

    id: int | None
    error: Exception


class Notified(NamedTuple):
    """A notification that belongs to no request."""

    method: str
    params: Params


#: What comes for a request.
Arrival = Part | FinalAnswer | ErrorAnswer
Event = Arrival | Notified
