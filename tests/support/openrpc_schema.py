"""Checks OpenRPC documents against OpenRPC's meta-schema, and values against a document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT7

HERE = Path(__file__).parent / "openrpc"
#: The schemas by the addresses in their references; nothing is fetched.
FILES = {
    "https://meta.open-rpc.org/": "openrpc-meta-schema.json",
    "https://meta.json-schema.tools/": "json-schema-meta-schema.json",
    "https://meta.json-schema.tools": "json-schema-meta-schema.json",
}


@cache
def meta_schema() -> jsonschema.Draft7Validator:
    """OpenRPC's meta-schema."""
    schemas = {uri: json.loads((HERE / name).read_text()) for uri, name in FILES.items()}
    known = [(uri, DRAFT7.create_resource(schema)) for uri, schema in schemas.items()]
    return jsonschema.Draft7Validator(
        schemas["https://meta.open-rpc.org/"], registry=Registry().with_resources(known)
    )


class Document:
    """An OpenRPC document, as a client would use it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.methods = {method["name"]: method for method in document["methods"]}

    def at(self, reference: str) -> Any:
        """The value behind a reference such as ``#/components/errors/Busy``."""
        value: Any = self.document
        for name in reference.removeprefix("#/").split("/"):
            value = value[name]
        return value

    def schema(self, name: str) -> Any:
        """The schema of a parameter (``rkllm.run/rkllm_input``) or a result (``rkllm.run``)."""
        method, _, parameter = name.partition("/")
        if not parameter:
            return self.methods[method]["result"]["schema"]
        return next(p["schema"] for p in self.methods[method]["params"] if p["name"] == parameter)

    def problems(self, name: str, value: object) -> list[str]:
        """The reasons why a value does not fit a schema; see :meth:`schema`."""
        schema = {**self.schema(name), "components": self.document["components"]}
        errors = jsonschema.Draft7Validator(schema).iter_errors(value)
        return [f"{name}{error.json_path[1:]}: {error.message}" for error in errors]

    def refuses(self, method: str, params: Mapping[str, object]) -> list[str]:
        """The reasons why parameters by name do not fit a method."""
        found = [
            problem
            for name, value in params.items()
            for problem in self.problems(f"{method}/{name}", value)
        ]
        needed = [p["name"] for p in self.methods[method]["params"] if p["required"]]
        return found + [f"{name} is missing" for name in needed if name not in params]
