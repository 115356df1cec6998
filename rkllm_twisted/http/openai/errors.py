"""Errors in the form of OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.errors import HTTPError


def error_body(error: HTTPError) -> Mapping[str, object]:
    """Return the body of an answer, or the event amid a stream."""
    return {
        "error": {
            "message": error.message,
            "type": error.kind,
            "param": error.param,
            "code": error.code,
        }
    }
