"""Errors in the form of Ollama's API."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.errors import HTTPError

#: The beginning of a field's name at the daemon, and its name in Ollama's API.
_DAEMONS, _OLLAMAS = "response_format", "format:"


def error_body(error: HTTPError) -> Mapping[str, object]:
    """Return the body of an answer, or the line amid a stream."""
    message = error.message
    if message.startswith(_DAEMONS):
        message = _OLLAMAS + message.partition(":")[2]
    return {"error": message}
