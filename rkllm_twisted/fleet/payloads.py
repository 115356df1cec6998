"""What engines do alike with payloads: their size, and errors as data. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from rkllm_twisted.errors import InternalError, RPCError, error_from
from rkllm_twisted.fleet.errors import TooLarge
from rkllm_twisted.fleet.values import MAX_SIZE, BoardState, Payload

_MAX_STATE = 64 * 1024


def size_checked(payload: Payload) -> bytes:
    """Return a payload as JSON.

    :raises TooLarge: it exceeds :data:`~rkllm_twisted.fleet.values.MAX_SIZE`.
    :raises TypeError: JSON cannot hold it.
    """
    text = msgspec.json.encode(payload)
    if len(text) > MAX_SIZE:
        raise TooLarge(
            f"{len(text):,} bytes are too many for a fleet, which carries {MAX_SIZE:,} in one"
            " message; talk to a board's own socket for such payloads."
        )
    return text


def checked_state(state: BoardState) -> BoardState:
    """Return a board's state.

    :raises ValueError: it exceeds 64 KiB.
    """
    size = len(msgspec.json.encode(state))
    if size > _MAX_STATE:
        raise ValueError(f"A board's state of {size:,} bytes is too large: {_MAX_STATE:,} at most.")
    return state


def error_of(error: BaseException) -> dict[str, Any]:
    """Return the error object for the caller: of any other exception no detail."""
    if not isinstance(error, RPCError):
        error = InternalError("The board failed at this call; its log has the details.")
    return {"code": error.code, "message": error.message, "data": error.data}


def rpc_error(body: Payload) -> RPCError:
    """Return the exception of an error object that a board sent."""
    return error_from(body)
