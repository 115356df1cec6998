"""Errors in the form of Ollama's API."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.errors import HTTPError


def error_body(error: HTTPError) -> Mapping[str, object]:
    """Return the body of an answer, or the line amid a stream."""
    return {"error": error.message}
