"""The fields of requests, and what becomes of each.

What RKLLM cannot do is refused, or ignored and named in the header ``X-RKLLM-Ignored``. Fields that
change nothing of the answer, such as ``user``, are not named.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from rkllm_twisted.http.translation.reading import Body, wrong


class Rule(enum.Enum):
    """What becomes of a field."""

    TAKEN = "taken"
    #: Named in the header, if its value asks for something.
    IGNORED = "ignored"
    #: Concerns the service's bookkeeping only.
    SILENT = "not used"
    REFUSED = "refused"


@attrs.frozen
class Field:
    """One field of a request.

    :param schema: its JSON schema.
    :param nothing: values that ask for nothing; a field with one of them is as good as absent.
    """

    rule: Rule
    meaning: str
    schema: Mapping[str, Any]
    nothing: tuple[object, ...] = ()

    def asks(self, value: object) -> bool:
        """True if a value asks for something."""
        return value is not None and not any(
            value == one and isinstance(value, bool) == isinstance(one, bool)
            for one in self.nothing
        )


def kind(name: str, **further: object) -> Mapping[str, Any]:
    """Return the JSON schema of a type."""
    return MappingProxyType({"type": name, **further})


TEXT, FLAG, COUNT = kind("string"), kind("boolean"), kind("integer")
NUMBER, OBJECT, ARRAY = kind("number"), kind("object"), kind("array", items={})
ANY: Mapping[str, Any] = MappingProxyType({})
#: So many unknown fields are named.
_MOST_NAMED = 20


def ignored_fields(body: Body, fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Return the names of the fields that change nothing though they ask for something.

    :raises HTTPError: a field asks for what RKLLM cannot do.
    """
    return tuple(_ignored_in(body, fields))[:_MOST_NAMED]


def _ignored_in(body: Body, fields: Mapping[str, Field]) -> Iterator[str]:
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            yield name[:40]
        elif not field.asks(value):
            continue
        elif field.rule is Rule.REFUSED:
            raise wrong(name, f"this is not possible here: {field.meaning.rstrip('.')}")
        elif field.rule is Rule.IGNORED:
            yield name


def body_schema(fields: Mapping[str, Field], required: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the JSON schema of a request's body."""
    properties = {
        name: {**field.schema, "description": f"{field.meaning} ({field.rule.value})"}
        for name, field in fields.items()
    }
    return {"type": "object", "properties": properties, "required": [*required]}
