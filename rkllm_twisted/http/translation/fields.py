"""The fields of requests, and what becomes of each.

What RKLLM cannot do is refused, or ignored and named in the header ``X-RKLLM-Ignored``; the option
``--strict`` refuses it in both cases. Fields that change nothing of the answer, such as ``user``,
are not named.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

import attrs

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.translation.reading import Body, wrong


class Rule(enum.Enum):
    """What becomes of a field."""

    TAKEN = "taken"
    #: Named in the header, if its value asks for something.
    IGNORED = "ignored; refused with --strict"
    SILENT = "not used"
    REFUSED = "refused"


def _schema(given: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON schema of a type; ``any`` has none."""
    if not isinstance(given, str):
        return given
    schema: dict[str, Any] = {} if given == "any" else {"type": given}
    return MappingProxyType({**schema, "items": {}} if given == "array" else schema)


@attrs.frozen
class Field:
    """One field of a request.

    :param schema: its JSON schema, or a type of JSON, or ``any``.
    :param nothing: values that ask for nothing; a field with one of them is as good as absent.
    """

    rule: Rule
    meaning: str
    schema: Mapping[str, Any] = attrs.field(converter=_schema)
    nothing: tuple[object, ...] = ()

    @classmethod
    def taken(
        cls, meaning: str, schema: str | Mapping[str, Any], nothing: tuple[object, ...] = ()
    ) -> Field:
        """Return a field that does what it says."""
        return cls(Rule.TAKEN, meaning, schema, nothing)

    @classmethod
    def silent(cls, meaning: str, schema: str) -> Field:
        """Return a field that concerns the service's bookkeeping only."""
        return cls(Rule.SILENT, meaning, schema)

    @classmethod
    def ignored(cls, why: str, schema: str, nothing: tuple[object, ...] = ()) -> Field:
        """Return a field that changes nothing.

        :param why: it cannot, in a sentence.
        """
        return cls(Rule.IGNORED, why, schema, nothing)

    @classmethod
    def refused(cls, why: str, schema: str, nothing: tuple[object, ...] = ()) -> Field:
        """Return a field that a request must not have.

        :param why: what it asks for cannot be done, in a sentence.
        """
        return cls(Rule.REFUSED, why, schema, nothing)

    def asks(self, value: object) -> bool:
        """True if a value asks for something."""
        return value is not None and not any(
            value == one and isinstance(value, bool) == isinstance(one, bool)
            for one in self.nothing
        )


#: Fields that change nothing -> why they cannot, in a sentence. It is empty for hints, and for
#: fields that this service does not know: many clients send such fields unasked.
Ignored = Mapping[str, str]
#: So many unknown fields are named.
_MOST_NAMED = 20


def ignored_fields(body: Body, fields: Mapping[str, Field]) -> Ignored:
    """Return the fields that change nothing though they ask for something.

    :raises HTTPError: a field asks for what RKLLM cannot do.
    """
    return dict(islice(_ignored_in(body, fields), _MOST_NAMED))


def _ignored_in(body: Body, fields: Mapping[str, Field]) -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            yield name[:40], ""
        elif not field.asks(value):
            continue
        elif field.rule is Rule.REFUSED:
            raise impossible(name, field.meaning)
        elif field.rule is Rule.IGNORED:
            yield name, field.meaning


def impossible(field: str, why: str) -> HTTPError:
    """Return the error for a field that asks for what RKLLM cannot do.

    :param why: it cannot, in a sentence.
    """
    return wrong(field, f"this is not possible here: {why.rstrip('.')}")


def body_schema(fields: Mapping[str, Field], required: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the JSON schema of a request's body."""
    properties = {
        name: {**field.schema, "description": f"{field.meaning} ({field.rule.value})"}
        for name, field in fields.items()
    }
    return {"type": "object", "properties": properties, "required": [*required]}
