"""The functions that models are given to call in tests."""

from __future__ import annotations

from typing import Any

ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "maxLength": 9},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["place", "days"],
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": ARGUMENTS}}
WEATHER_ONLY = {"type": "function", "function": {"name": "weather"}}
#: It has no arguments.
STOP = {"type": "function", "function": {"name": "stop"}}
#: What the arguments of each function keep to, by its name.
SCHEMAS: dict[str, Any] = {"weather": ARGUMENTS, "stop": {"maxProperties": 0}}
