"""The OpenAPI document (version 3.1), made of the routes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rkllm_twisted.http.paths import PathPattern
from rkllm_twisted.http_interfaces import IHTTPRoute

JSON = "application/json"
#: The content type of a stream in each API, whose requests have the member ``stream`` then.
_STREAMS: Mapping[str, str] = {
    "openai": "text/event-stream",
    "anthropic": "text/event-stream",
    "ollama": "application/x-ndjson",
}
_ERRORS = "An error, in the form of this API."


def document(routes: Iterable[IHTTPRoute], version: str) -> Mapping[str, Any]:
    """Return the document.

    :param version: of the service.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for path in route.paths:
            for method in route.methods:
                paths.setdefault(path, {})[method.lower()] = _operation(route, method, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "rkllm-http", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            }
        },
    }


def _operation(route: IHTTPRoute, method: str, path: str) -> Mapping[str, Any]:
    parameter = PathPattern(path).parameter
    operation: dict[str, Any] = {
        "operationId": _operation_id(method, path),
        "summary": route.summary,
        "tags": [route.api],
        "responses": {
            "200": {"description": "The answer.", **_answer(route)},
            "default": {"description": _ERRORS, **_content({"type": "object"})},
        },
        "security": [] if route.is_open else [{"bearer": []}, {"apiKey": []}, {}],
    }
    if parameter:
        operation["parameters"] = [
            {"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    if route.request is not None and method not in ("GET", "HEAD"):
        operation["requestBody"] = {"required": True, **_content(route.request)}
    return operation


def _answer(route: IHTTPRoute) -> Mapping[str, Any]:
    """Return the forms of an answer. Its pieces are not described: each API has many."""
    content = dict(_content(route.response).get("content", {}))
    if "stream" in (route.request or {}).get("properties", {}):
        content[_STREAMS[route.api]] = {"schema": {"type": "string"}}
    return {"content": content} if content else {}


def _content(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if schema is None else {"content": {JSON: {"schema": plain(schema)}}}


def plain(value: Any) -> Any:
    """Return a value with plain dicts and lists, as encoders of JSON want them."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _operation_id(method: str, path: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in path).split()
    return "_".join([method.lower(), *words])
