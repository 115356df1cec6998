"""The form of an error in each API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.anthropic import errors as anthropic
from rkllm_twisted.http.ollama import errors as ollama
from rkllm_twisted.http.openai import errors as openai

ErrorBody = Callable[[HTTPError], Mapping[str, object]]
#: :attr:`IHTTPRoute.api` -> what makes the body of an error.
BODIES: Mapping[str, ErrorBody] = MappingProxyType(
    {
        "openai": openai.error_body,
        "ollama": ollama.error_body,
        "anthropic": anthropic.error_body,
    }
)
#: The beginning of a path -> the API of a request that no route answers.
_APIS = (("/api/", "ollama"), ("/v1/messages", "anthropic"))


def api_of(path: str) -> str:
    """Return the API of a path that no route has, by its beginning."""
    return next((api for start, api in _APIS if path.startswith(start)), "openai")


def headers_of(error: HTTPError) -> Mapping[str, str]:
    """Return the headers that an error adds to the answer."""
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    return headers
