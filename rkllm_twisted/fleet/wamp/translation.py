"""WAMP's errors as those of a fleet, and payloads as WAMP carries them.

A payload is one string of JSON. So its size is known before it is sent, autobahn's codecs have
nothing to convert, and neither names nor numbers can clash with the library's own arguments.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from autobahn.exception import PayloadExceededError
from autobahn.wamp.exception import ApplicationError, TransportLost
from twisted.python.failure import Failure

from rkllm_twisted.errors import InternalError
from rkllm_twisted.fleet import errors
from rkllm_twisted.fleet.payloads import error_of, rpc_error, size_checked
from rkllm_twisted.fleet.values import Payload

#: The error URI under which a board's JSON-RPC error travels.
ERROR = "rkllm.error"
#: What the router says -> what it means for a call.
_MEANINGS: tuple[tuple[str, type[errors.FleetError]], ...] = (
    (r"crossbar\.error\.max_concurrency_reached", errors.BoardsBusy),
    (r"wamp\.error\.no_such_procedure", errors.NotOffered),
    (r"wamp\.error\.no_available_callee", errors.NotOffered),
    (r"wamp\.error\.(not_authorized|authorization_failed|no_such_role)", errors.NotPermitted),
    (r"wamp\.error\.(authentication_failed|no_auth_method|no_such_principal)", errors.NotPermitted),
    (r"wamp\.error\.cannot_authenticate", errors.NotPermitted),
    (r"wamp\.error\.canceled", errors.BoardLost),
    (r"wamp\.close\..*", errors.RouterLost),
)


def to_text(payload: Payload) -> str:
    """Return what is sent.

    :raises TooLarge: it exceeds the limit.
    """
    return size_checked(payload).decode()


def from_text(text: Any) -> Payload:
    """Return the payload that came.

    :raises InternalError: it is not one.
    """
    try:
        return msgspec.json.decode(text)
    except (TypeError, msgspec.DecodeError):
        raise InternalError("A member of the fleet sent what is no payload.") from None


def error_to_wamp(error: BaseException) -> ApplicationError:
    """Return a served call's failure as it is sent."""
    return ApplicationError(ERROR, msgspec.json.encode(error_of(error)).decode())


def meaning_of(uri: str, message: str) -> errors.FleetError:
    """Return the error for a URI that the router gave as the reason.

    :param message: what the router says, which the sentence contains.
    """
    for pattern, meaning in _MEANINGS:
        if re.fullmatch(pattern, uri):
            return meaning(f"{message} ({uri})")
    return errors.RouterLost(f"The router gave an unexpected reason: {uri} {message}")


def error_from_wamp(failure: Failure) -> BaseException:
    """Return the error of a call, of an offer, or of what else was asked of the router."""
    error: Any = failure.value
    if isinstance(error, PayloadExceededError):
        return errors.TooLarge("The message is too large for the router.")
    if isinstance(error, TransportLost):
        return errors.RouterLost("The connection to the router was lost.")
    if not isinstance(error, ApplicationError):
        return InternalError(f"The fleet's engine failed: {error!r}")
    args = error.args
    if error.error == ERROR and args:
        return rpc_error(from_text(args[0]))
    return meaning_of(str(error.error), str(args[0]) if args else "The router refused.")
