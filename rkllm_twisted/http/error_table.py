"""The HTTP status of each error: the one place where the daemon's errors become answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from rkllm_twisted import errors
from rkllm_twisted.errors import HTTPError, InvalidParams, RPCError, Unreachable

#: OpenAI's kinds of errors.
INVALID = "invalid_request_error"
SERVER = "server_error"
PERMISSION = "permission_error"
NOT_SUPPORTED = "not_supported_error"


@attrs.frozen
class Row:
    """The answer to one class of errors; the parameters are those of :class:`HTTPError`.

    :param message: replaces the error's own text, which is for clients of the socket.
    :param advice: replaces what follows the semicolon in that text.
    """

    status: int
    kind: str = SERVER
    code: str | None = None
    retry_after: int | None = None
    should_retry: bool | None = None
    message: str | None = None
    advice: str | None = None


#: A new try costs the NPU as much as the first one, so it is not suggested without a reason.
_ROWS: Mapping[type[Exception], Row] = MappingProxyType(
    {
        errors.ParseError: Row(400, INVALID),
        errors.InvalidRequest: Row(400, INVALID),
        errors.InvalidParams: Row(400, INVALID),
        errors.MethodNotFound: Row(501, NOT_SUPPORTED, "not_supported", should_retry=False),
        errors.NotInRelease: Row(501, NOT_SUPPORTED, "not_supported", should_retry=False),
        errors.NotAllowed: Row(403, PERMISSION, "not_allowed"),
        errors.Busy: Row(503, SERVER, "overloaded", retry_after=2, should_retry=True),
        errors.ShuttingDown: Row(503, SERVER, "overloaded", retry_after=5, should_retry=True),
        errors.NoModel: Row(
            503,
            SERVER,
            "no_model",
            should_retry=False,
            message="No model is loaded; name one of those of GET /v1/models in the field model, or"
            " start the daemon with --model.",
        ),
        errors.TimedOut: Row(504, SERVER, "timed_out", should_retry=False),
        errors.RuntimeRefused: Row(500, SERVER, "runtime_refused", should_retry=False),
        errors.RuntimeCrashed: Row(
            500,
            SERVER,
            "runtime_crashed",
            should_retry=False,
            advice="a request that names a model has it loaded again.",
        ),
        errors.Cancelled: Row(503, SERVER, "cancelled", should_retry=False),
        errors.NoAnswer: Row(504, SERVER, "timed_out", should_retry=False),
        errors.Unreachable: Row(
            503, SERVER, "daemon_unavailable", retry_after=5, should_retry=True
        ),
        errors.RPCError: Row(500, SERVER, should_retry=False),
    }
)
#: Codes for what a daemon's ``data`` has as ``reason``.
_REASONS: Mapping[object, str] = MappingProxyType({"context_length": "context_length_exceeded"})
#: The names of fields in the APIs, if the daemon's parameter has another.
_FIELDS: Mapping[object, str] = MappingProxyType({"max_new_tokens": "max_tokens"})


def http_error(error: RPCError | Unreachable) -> HTTPError:
    """Return the answer to a daemon's error, or for a daemon that does not answer."""
    data = (error.data or {}) if isinstance(error, RPCError) else {}
    if isinstance(error, InvalidParams) and data.get("parameter") == "model" and "close" in data:
        return model_not_found(str(error))
    if "package" in data:  # the daemon lacks an extra, and its text says which
        return HTTPError(501, str(error), NOT_SUPPORTED, "not_installed", should_retry=False)
    row = next(row for base in type(error).__mro__ if (row := _ROWS.get(base)))
    message = row.message if row.message and "problem" not in data else str(error)
    what, semicolon, _ = message.partition("; ")
    if row.advice and semicolon:
        message = f"{what}; {row.advice}"
    parameter = data.get("parameter")
    return HTTPError(
        row.status,
        message,
        row.kind,
        _REASONS.get(data.get("reason"), row.code),
        param=_FIELDS.get(parameter, parameter) if isinstance(parameter, str) else None,
        retry_after=row.retry_after,
        should_retry=row.should_retry,
    )


def model_not_found(message: str) -> HTTPError:
    """Return the error for a model that no daemon has."""
    return HTTPError(404, message, "not_found_error", "model_not_found", param="model")
