"""Makes the OpenRPC document, which ``rpc.discover`` returns, of the description. Pure.

OpenRPC 1.3.2 (https://spec.open-rpc.org) knows one result per request. For a method that streams it
is the last one; ``x-streams`` marks such methods, and ``x-partial-results`` has the earlier results
in examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rkllm_twisted.abi.release import Release
from rkllm_twisted.description.annotations import SCHEMAS
from rkllm_twisted.description.examples import Example, examples_of
from rkllm_twisted.description.model import Description, Item, MethodDescription
from rkllm_twisted.description.schemas import Schema, Schemas

OPENRPC = "1.3.2"
_ABOUT = """\
Rockchip's RKLLM as JSON-RPC 2.0 on a UNIX socket, in netstrings or in lines: the first byte of a \
connection decides. Parameters go by name, or by position in this order; with the functions of \
rkllm.h C's own order will do, too, with null for what is the daemon's: the handle, the callback, \
userdata, outputs. Any request may also be answered with -32700, -32600, -32601 or -32603. \
A request is cancelled with the notification $/cancelRequest {"id": …}. This document is that of \
the loaded release; what the release lacks is left out."""
_STREAMS = """\
Streams: each result is a response with the request's id, or, after server.configure {"stream": \
"notifications"}, a notification rkllm.result {"id", "seq", "result"}; the last one is always a \
response. It cannot be in a batch."""


def document(description: Description, release: Release, version: str) -> dict[str, Any]:
    """Make the document.

    :param description: the description for this one release.
    :param version: the daemon's.
    """
    schemas = Schemas(description)
    methods = [_method(method, schemas, release) for method in description.methods]
    kinds = {error.name: error for method in description.methods for error in method.errors}
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "rkllm_twisted",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "methods": methods,
        "components": {
            "schemas": _referred(schemas.components(), methods),
            "errors": {
                name: {"code": error.code, "message": error.meaning}
                for name, error in sorted(kinds.items())
            },
        },
        "x-abi": {"layout": release.name, "releases": list(release.covers)},
    }


def _method(method: MethodDescription, schemas: Schemas, release: Release) -> dict[str, Any]:
    result = method.result
    examples = examples_of(method, release)
    return {
        "name": method.name,
        "summary": method.summary,
        **_if_any("description", " ".join(_sentences(method))),
        "paramStructure": "either",
        "params": [_parameter(item, schemas) for item in method.parameters],
        "result": {
            "name": result.structure or "result",
            **_if_any("description", result.about),
            "schema": schemas.of_result(result),
        },
        "errors": [{"$ref": f"#/components/errors/{error.name}"} for error in method.errors],
        "examples": [_example(f"{method.name} {i}", e) for i, e in enumerate(examples, 1)],
        "x-streams": method.streams,
        "x-administrative": method.administrative,
        **_if_any("x-function", method.function),
    }


def _if_any(name: str, value: object) -> dict[str, object]:
    """Return a member; none if its value is empty."""
    return {name: value} if value else {}


def _sentences(method: MethodDescription) -> Iterator[str]:
    if method.function:
        order = ", ".join("null" if slot.owned else slot.name for slot in method.slots)
        yield f"C function {method.function}; C's order is [{order}]."
    if method.is_open:
        yield "Which parameters there are is the plugin's own business; it may take any."
    if method.streams:
        yield _STREAMS


def _parameter(item: Item, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.of_item(item, sent=True)
    about = _if_any("description", schema.pop("description", ""))
    return {"name": item.name, **about, "required": item.required, "schema": schema}


def _example(name: str, example: Example) -> dict[str, Any]:
    return {
        "name": name,
        **_if_any("description", example.about),
        "params": [{"name": name, "value": value} for name, value in example.params.items()],
        "result": {"name": "result", "value": example.result},
        **_if_any("x-partial-results", list(example.partial)),
    }


def _referred(schemas: Mapping[str, Schema], methods: object) -> dict[str, Schema]:
    """Keep the schemas that methods refer to, directly or through others."""
    left, kept = set(_references(methods)), set[str]()
    while left:
        kept |= left
        left = {name for found in left for name in _references(schemas[found])} - kept
    return {name: schema for name, schema in schemas.items() if name in kept}


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(SCHEMAS):
            yield target.removeprefix(SCHEMAS)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
