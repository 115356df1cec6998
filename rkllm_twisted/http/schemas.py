"""JSON schemas that several routes share, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Schema = Mapping[str, Any]
#: Any object.
OBJECT: Schema = MappingProxyType({"type": "object"})
