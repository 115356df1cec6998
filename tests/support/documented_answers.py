"""Compares a daemon's answers with those that the documentation shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rkllm_twisted.description.examples import table

PLACEHOLDERS = table()["placeholders"]
TYPES = {"number": (int, float), "integer": int, "string": str, "object": dict, "array": list}


def fits(documented: Any, real: Any) -> bool:
    """Tell whether a real value matches the documented one, except for placeholders."""
    if isinstance(documented, str) and documented in PLACEHOLDERS:
        return is_one(PLACEHOLDERS[documented], real)
    if type(documented) is not type(real):
        return False
    if isinstance(documented, dict):
        return list(documented) == list(real) and all(
            fits(value, real[name]) for name, value in documented.items()
        )
    if isinstance(documented, list):
        return len(documented) == len(real) and all(map(fits, documented, real))
    return bool(documented == real)


def is_one(kind: Mapping[str, Any], real: Any) -> bool:
    """Tell whether a value is of a placeholder's kind."""
    if isinstance(real, bool) or not isinstance(real, TYPES[kind["type"]]):
        return False
    if kind["type"] == "string":
        return re.fullmatch(kind["matches"], real) is not None
    return bool(real >= kind["least"]) if "least" in kind else True
