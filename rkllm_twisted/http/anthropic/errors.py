"""Errors in the form of Anthropic's API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rkllm_twisted.errors import HTTPError

#: HTTP status -> the type of error.
TYPES: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        405: "invalid_request_error",
        413: "request_too_large",
        429: "rate_limit_error",
        501: "invalid_request_error",
        503: "overloaded_error",
        504: "timeout_error",
    }
)


def error_body(error: HTTPError) -> Mapping[str, object]:
    """Return the body of an answer, or the event amid a stream."""
    kind = TYPES.get(error.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}}
