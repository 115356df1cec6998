"""What fronts and boards send each other, as JSON values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rkllm_twisted.errors import Busy, InvalidParams, NoModel, RPCError
from rkllm_twisted.fleet_service.fleet_call import CallFailed
from rkllm_twisted.fleet_service.retries import Cause

#: The member of an error's data that says that the board has begun nothing.
REFUSED = "refused"


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a front asks a board for.

    :param method: of the board's daemon; a program that knows the fleet's URIs may leave it out.
    :param params: for it.
    :param conversation: requests with the same text share a connection to the daemon; those without
        it, one of their caller's.
    :param model: the name of the model that it is for; None: whatever is loaded.
    :param continues: it continues the history that the conversation has left on this board.
    :param keeps_history: it leaves one.
    :param call: its name in the logs of the front and of the board.
    """

    method: str = "rkllm.run_async"
    params: list[Any] | dict[str, Any] | None = None
    conversation: str | None = None
    model: str | None = None
    continues: bool = False
    keeps_history: bool = False
    call: str = ""


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator asks a board's daemon for."""

    method: str
    params: list[Any] | dict[str, Any] | None = None


def as_payload(request: RunRequest | CallRequest) -> dict[str, Any]:
    """Return a request as it is sent."""
    return {name: getattr(request, name) for name in request.__struct_fields__}


def run_request(payload: Any) -> RunRequest:
    """Read a request of a front.

    :raises InvalidParams: it is none.
    """
    request: RunRequest = _read(payload, RunRequest)
    return request


def call_request(payload: Any) -> CallRequest:
    """Read a request of an administrator.

    :raises InvalidParams: it is none.
    """
    request: CallRequest = _read(payload, CallRequest)
    return request


def _read(payload: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"A board cannot read the request: {error}.") from None


def refusal_of(failed: CallFailed, board: str) -> RPCError:
    """Return the error by which a board says that it has begun nothing."""
    data = {"board": board, REFUSED: failed.cause.value}
    if failed.cause is Cause.BUSY:
        return Busy(f"The board {board} is busy; try again, or try another.", data)
    return NoModel(f"The board {board} does not run this model now; try another.", data)


def failure_of(error: RPCError) -> Exception:
    """Return an error of a board as the front takes it: what has begun nothing is a CallFailed."""
    data: Mapping[str, object] = error.data or {}
    causes = {cause.value: cause for cause in (Cause.BUSY, Cause.NOT_THERE)}
    cause = causes.get(str(data.get(REFUSED)))
    return error if cause is None else CallFailed(cause)
