"""The form that an answer is to have, read from a request. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import attrs

from rkllm_twisted.chat.messages import shown, wrong

#: In characters of JSON, or of the text.
MAX_TEXT = 64 * 1024
#: Of one request.
MAX_CHOICES = 1000
#: The greatest whole number that every double is exact up to. llguidance computes bounds in doubles
#: and in 64 bits.
MAX_EXACT_NUMBER = 2**53
#: Levels of arrays and objects in a schema, of which llguidance reads fewer than 128.
MAX_DEPTH = 120
#: Members of one object that may be left out. The time to compile them grows with the square.
MAX_OPTIONAL = 500
KINDS = ("schema", "regex", "choices", "grammar")


@attrs.frozen
class Form:
    """A form.

    :param kind: one of :data:`KINDS`.
    :param text: the schema as JSON, the pattern, the choices as a JSON array, or the grammar.
    :param place: the parameter that it came in, for errors.
    :param flexible: schema: True if white space may stand between the parts of the JSON.
    """

    kind: str
    text: str
    place: str
    flexible: bool = False

    @property
    def is_json(self) -> bool:
        """True if the answer is JSON."""
        return self.kind == "schema"


def form_of(kind: str, value: object, place: str | None = None) -> Form:
    """Read a form.

    :param kind: one of :data:`KINDS`.
    :param place: the parameter that holds the value; by default it is named as the kind.
    :raises InvalidParams: the value is wrong; the error names its place.
    """
    place = place or kind
    form = Form(kind, _READ[kind](value, place), place)
    if len(form.text) > MAX_TEXT:
        raise wrong(place, f"has {len(form.text)} characters, and at most {MAX_TEXT} are possible")
    if any("\ud800" <= letter <= "\udfff" for letter in form.text):
        raise wrong(
            place, "has half of a surrogate pair (\\ud800 to \\udfff), which is no character"
        )
    return form


def the_form(given: Mapping[str, object]) -> Form:
    """Read the one form of several parameters.

    :param given: the values by kind; None for those that are left out.
    :raises InvalidParams: there is none, or more than one, or it is wrong.
    """
    found = [(kind, value) for kind, value in given.items() if value is not None]
    if len(found) != 1:
        had = ", ".join(kind for kind, _ in found) or "none"
        raise wrong(KINDS[0], f"exactly one of {', '.join(KINDS)} must be given, not {had}")
    return form_of(*found[0])


def _schema(value: object, place: str) -> str:
    if not isinstance(value, Mapping):
        raise wrong(place, f"must be a JSON schema, which is an object, not {shown(value)}")
    for depth, one in _parts(value):
        _check_part(depth, one, place)
    return json.dumps(value, ensure_ascii=False)


def _check_part(depth: int, part: object, place: str) -> None:
    """:raises InvalidParams: llguidance cannot do this part of a schema, or not in good time."""
    if isinstance(part, int | float) and abs(part) > MAX_EXACT_NUMBER:
        raise wrong(
            place,
            f"has a number beyond {MAX_EXACT_NUMBER}, {shown(part)}, and none can be kept to"
            " exactly there",
        )
    if depth > MAX_DEPTH:
        raise wrong(place, f"has more than {MAX_DEPTH} levels, and no more are possible")
    if not isinstance(part, Mapping):
        return
    for pattern in (part.get("pattern"), *_names(part.get("patternProperties"))):
        _check_pattern(pattern, place)
    if isinstance(part.get("properties"), Mapping):
        required = part.get("required")
        needed = set(map(str, required)) if isinstance(required, Sequence) else set()
        optional = sum(name not in needed for name in part["properties"])
        if optional > MAX_OPTIONAL:
            raise wrong(
                place,
                f"has an object with {optional} properties that are not required, and at most"
                f" {MAX_OPTIONAL} are possible; name more of them in required",
            )


def _check_pattern(pattern: object, place: str) -> None:
    """:raises InvalidParams: it ends amid an escape, which llguidance would leave out."""
    if isinstance(pattern, str) and (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise wrong(place, "has a pattern that ends with a backslash, which escapes nothing")


def _names(value: object) -> Iterator[object]:
    yield from value if isinstance(value, Mapping) else ()


def _parts(value: object) -> Iterator[tuple[int, object]]:
    """Yield the values in a JSON value, each with how many arrays and objects it is in."""
    waiting = [(0, value)]
    while waiting:
        depth, one = waiting.pop()
        yield depth, one
        if isinstance(one, Mapping):
            waiting += [(depth + 1, inner) for inner in one.values()]
        elif isinstance(one, Sequence) and not isinstance(one, str):
            waiting += [(depth + 1, inner) for inner in one]


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise wrong(place, f"must be a text, not {shown(value)}")
    return value


def _regex(value: object, place: str) -> str:
    pattern = _text(value, place)
    _check_pattern(pattern, place)
    return pattern


def _choices(value: object, place: str) -> str:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise wrong(place, f"must be an array of texts, not {shown(value)}")
    for at, one in enumerate(value):
        if not isinstance(one, str) or not one:
            raise wrong(f"{place}[{at}]", f"must be a text that is not empty, not {shown(one)}")
    if len(value) > MAX_CHOICES:
        raise wrong(place, f"has {len(value)} texts, and at most {MAX_CHOICES} are possible")
    return json.dumps(list(value), ensure_ascii=False)


_READ = {"schema": _schema, "regex": _regex, "choices": _choices, "grammar": _text}

#: Any JSON object.
ANY_OBJECT: Mapping[str, object] = {"type": "object"}
#: The types of ``response_format`` that have a member of their own -> the kind of form.
_TYPES: Mapping[str, str] = {"regex": "regex", "choices": "choices", "grammar": "grammar"}
_EVERY_TYPE = ("text", "json_object", "json_schema", *_TYPES)


def response_form(value: object) -> Form | None:
    """Read ``response_format``, in the form of OpenAI's API; None for any text.

    :raises InvalidParams: it is wrong; the error names its place.
    """
    place = "response_format"
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong(place, f"must be an object with a type, not {shown(value)}")
    kind = value.get("type")
    match kind:
        case "text":
            return None
        case "json_object":
            return form_of("schema", ANY_OBJECT, place)
        case "json_schema":
            inner = value.get("json_schema")
            schema = inner.get("schema") if isinstance(inner, Mapping) else None
            return form_of("schema", schema, f"{place}.json_schema.schema")
        case str() if kind in _TYPES:
            return form_of(_TYPES[kind], value.get(kind), f"{place}.{kind}")
        case _:
            known = ", ".join(_EVERY_TYPE)
            raise wrong(place, f"the type must be one of {known}, not {shown(kind)}")
