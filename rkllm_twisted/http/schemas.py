"""JSON schemas that several routes share, for the OpenAPI document."""

from __future__ import annotations

from types import MappingProxyType

from rkllm_twisted.description.annotations import Schema

#: Any object.
OBJECT: Schema = MappingProxyType({"type": "object"})
