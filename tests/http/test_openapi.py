"""The OpenAPI document is valid, and describes every route."""

from __future__ import annotations

import pytest
from http_rig import HTTPRig
from openapi_spec_validator import OpenAPIV31SpecValidator

from rkllm_twisted.http.openapi import document
from rkllm_twisted.http.registry import find_routes


def test_the_document_is_valid_and_has_every_path() -> None:
    rig = HTTPRig()
    document = rig.ask("GET", "/openapi.json").json
    known = {path for route in rig.service.resource.routes.all for path in route.paths}
    rig.close()
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]) == known


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "response_format"),
        ("/v1/responses", "text"),
        ("/api/chat", "format"),
        ("/api/generate", "format"),
        ("/v1/messages", "output_config"),
    ],
)
def test_the_document_says_how_the_form_of_an_answer_is_set(path: str, field: str) -> None:
    (route,) = (route for route in find_routes().all if path in route.paths)
    assert "json" in route.request["properties"][field]["description"]


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/v1/chat/completions", "text/event-stream"),
        ("/v1/messages", "text/event-stream"),
        ("/api/chat", "application/x-ndjson"),
        ("/v1/embeddings", None),
    ],
)
def test_the_document_names_the_form_of_a_stream(path: str, stream: str | None) -> None:
    paths = document(find_routes().all, "1")["paths"]
    content = paths[path]["post"]["responses"]["200"]["content"]
    assert [*content] == ["application/json", *([stream] if stream else [])]


@pytest.mark.parametrize("route", find_routes().all, ids=lambda route: route.paths[0])
def test_a_routes_summary_is_a_sentence(route: object) -> None:
    assert route.summary.endswith(".")  # type: ignore[attr-defined]
