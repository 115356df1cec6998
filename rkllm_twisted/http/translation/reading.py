"""Reads fields of a request's JSON: each function names the field in its error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.errors import HTTPError

Body = Mapping[str, Any]


def wrong(field: str, problem: str) -> HTTPError:
    """Return the error for a wrong field."""
    return HTTPError(400, f"{field}: {problem}.", param=field)


def number(body: Body, field: str, low: float, high: float) -> float | None:
    """Return a number from ``low`` to ``high``; None if the field is absent or null.

    :raises HTTPError: it is another value.
    """
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise wrong(field, f"must be a number from {low:g} to {high:g}, not {shown(value)}")
    return value


def count(body: Body, field: str, low: int = 1, high: int = 2**31 - 1) -> int | None:
    """Return a whole number from ``low`` to ``high``; None if the field is absent or null.

    :raises HTTPError: it is another value.
    """
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        most = "" if high == 2**31 - 1 else f" to {high}"
        raise wrong(field, f"must be a whole number from {low}{most}, not {shown(value)}")
    return value


def flag(body: Body, field: str) -> bool | None:
    """Return a Boolean; None if the field is absent or null.

    :raises HTTPError: it is another value.
    """
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise wrong(field, f"must be true or false, not {shown(value)}")
    return value


def text(body: Body, field: str) -> str | None:
    """Return a text; None if the field is absent or null.

    :raises HTTPError: it is another value.
    """
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise wrong(field, f"must be a text, not {shown(value)}")
    return value


def required_text(body: Body, field: str, place: str) -> str:
    """Return a text that must be there.

    :param place: where the object is in the request, such as ``messages[0]``.
    :raises HTTPError: it is another value, or missing.
    """
    value = body.get(field)
    if not isinstance(value, str):
        raise wrong(f"{place}.{field}", f"must be a text, not {shown(value)}")
    return value


def mapping(body: Body, field: str) -> Body:
    """Return an object; an empty one if the field is absent or null.

    :raises HTTPError: it is another value.
    """
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(field, f"must be an object, not {shown(value)}")
    return value


def model_name(body: Body) -> str | None:
    """Return the name of the model; None if the request names none.

    :raises HTTPError: it is no text.
    """
    return text(body, "model") or None
