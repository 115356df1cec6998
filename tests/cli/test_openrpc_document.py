"""Reading an OpenRPC document, this daemon's and others."""

from __future__ import annotations

import pytest

from rkllm_twisted.cli.openrpc_document import Document

DOCUMENT = Document(
    {
        "openrpc": "1.3.2",
        "methods": [
            {"name": "greet.hello", "params": [{"$ref": "#/components/contentDescriptors/Who"}]},
            {"$ref": "#/components/x-methods/bye"},
        ],
        "components": {
            "contentDescriptors": {"Who": {"name": "who", "schema": {"type": "string"}}},
            "x-methods": {"bye": {"name": "greet.bye", "params": []}},
            "schemas": {
                "Inner": {"type": "object", "properties": {"n": {"type": "integer"}}},
                "Outer": {
                    "type": "object",
                    "properties": {
                        "inner": {"$ref": "#/components/schemas/Inner", "description": "In it."},
                        "again": {"$ref": "#/components/schemas/Outer"},
                    },
                },
                "Colour": {"enum": ["red", 2]},
                "a/b": {"type": "null"},
                "Ring": {"$ref": "#/components/schemas/Ring"},
            },
        },
    }
)
REF = "#/components/schemas/"


def test_methods_are_found_by_name() -> None:
    """Also those behind a reference."""
    assert DOCUMENT.names() == ["greet.hello", "greet.bye"]
    found = DOCUMENT.method("greet.bye")
    assert found is not None
    assert found["params"] == []
    assert DOCUMENT.method("greet") is None


def test_a_name_that_is_nearly_right_has_neighbours() -> None:
    """For the sentence that refuses it."""
    assert DOCUMENT.like("greet.helo")[0] == "greet.hello"
    assert DOCUMENT.like("xyzzy") == []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array", "items": {"type": "number"}}, "array of number"),
        ({"type": "array"}, "array"),
        ({"$ref": f"{REF}Inner"}, "Inner"),
        ({"oneOf": [{"$ref": f"{REF}Inner"}, {"type": "null"}]}, "Inner | null"),
        ({"anyOf": [{"type": "null"}, {"type": "null"}]}, "null"),
        ({"allOf": [{"$ref": f"{REF}Inner"}, {"type": "object"}]}, "Inner"),
        ({"enum": [0, 1, "x"]}, "0 | 1 | x"),
        ({"const": "pong"}, "pong"),
        ({}, "any"),
        (True, "any"),
        (None, "any"),
    ],
)
def test_a_schema_in_a_few_words(schema: object, text: str) -> None:
    """Every form of JSON Schema that OpenRPC documents use."""
    assert DOCUMENT.type_of(schema) == text


def test_fields_are_those_of_all_parts() -> None:
    """Through references and allOf."""
    schema = {
        "allOf": [{"$ref": f"{REF}Outer"}, {"properties": {"more": {"type": "boolean"}}}],
    }
    assert list(DOCUMENT.fields(schema)) == [
        ("inner", "Inner", "In it."),
        ("again", "Outer", ""),
        ("more", "boolean", ""),
    ]


def test_structures_are_those_that_are_referred_to() -> None:
    """Each once, though they refer to themselves; what has no members is none."""
    schemas = [{"type": "array", "items": {"$ref": f"{REF}Outer"}}, {"$ref": f"{REF}Colour"}]
    assert list(DOCUMENT.structures(schemas)) == ["Outer", "Inner"]


def test_a_ring_of_references_ends() -> None:
    """Whatever a document says."""
    assert DOCUMENT.follow({"$ref": f"{REF}Ring"}) == {"$ref": f"{REF}Ring"}


def test_names_in_references_may_be_escaped() -> None:
    """As JSON Pointer (RFC 6901) has it."""
    assert DOCUMENT.follow({"$ref": f"{REF}a~1b"}) == {"type": "null"}
