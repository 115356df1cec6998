"""The values that :mod:`rkllm_twisted.fleet.interfaces` passes around, and the URIs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:  # the command, which writes a router's configuration, never loads Twisted
    from twisted.internet.defer import Deferred

#: The realm of a fleet.
REALM = "rkllm"

#: Bytes of one payload, as compact JSON. Crossbar 26.10.1 takes 16 MiB at most; above that, a
#: WebSocket session ends with all of its calls.
MAX_SIZE = 12 * 1024 * 1024

#: A payload: what JSON can hold.
Payload = Any
BoardState = Mapping[str, Any]

_BOARD = re.compile(r"[a-z0-9_]{1,64}")
_NOT_IN_URI = re.compile(r"[^a-z0-9_]+")


class Role(str, Enum):
    """What a member may do; :mod:`rkllm_twisted.fleet.access` has the rules."""

    BOARD = "board"
    FRONT = "front"
    #: A front that may also use ``rkllm.board.<board>.call``.
    ADMIN = "admin"


@attrs.frozen
class Invocation:
    """One call, as the member that serves it gets it.

    :param payload: as the caller sent it.
    :param caller: the name of the member that calls.
    :param progress: sends one progressive result. After the call has ended or was cancelled it
        does nothing. It raises :exc:`~rkllm_twisted.fleet.errors.TooLarge` like a final result.
    """

    payload: Payload
    caller: str
    progress: Callable[[Payload], None]


#: What serves the calls of a URI.
Serve = Callable[[Invocation], "Deferred[Payload]"]


@attrs.frozen
class Offer:
    """A URI that is offered now, for display.

    :param uri: the procedure's name.
    :param boards: how many members offer it.
    """

    uri: str
    boards: int


def checked_name(name: str) -> str:
    """Return the name of a member.

    :raises ValueError: it is not 1 to 64 of a-z, 0-9 and underscore.
    """
    if _BOARD.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot be a name in a fleet: it takes 1 to 64 lower-case letters, digits and"
            " underscores."
        )
    return name


def model_uri(model: str) -> str:
    """Return the URI of runs on a model that any board has loaded.

    Characters other than a-z, 0-9 and underscore become underscores: the real name is in the
    board's state, and in the payload.
    """
    return f"rkllm.model.{_NOT_IN_URI.sub('_', model.lower()) or '_'}.run"


def board_uri(board: str, what: str) -> str:
    """Return a board's own URI.

    :param what: ``run``: the next turn of a conversation that this board has; ``call``: any method,
        for administrators.
    """
    return f"rkllm.board.{board}.{what}"
