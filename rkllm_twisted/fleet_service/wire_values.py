"""Float arrays as boards send them. Pure."""

from __future__ import annotations

import binascii
from typing import Any

from rkllm_twisted.values import FloatArray

_ARRAY = {"base64", "dtype", "shape"}
_SCALARS = frozenset({type(None), bool, int, float, str})


def with_arrays(value: Any) -> Any:
    """Return a result with its float arrays as :class:`FloatArray`, for any form of a client's.

    :param value: JSON values, with arrays in the form ``base64`` of ``server.configure``.
    """
    if type(value) is dict:
        if value.keys() == _ARRAY and value["dtype"] == "<f4":
            return FloatArray(binascii.a2b_base64(value["base64"]), tuple(value["shape"]))
        if all(type(item) in _SCALARS for item in value.values()):
            return value
        return {name: with_arrays(item) for name, item in value.items()}
    if type(value) is list and any(type(item) not in _SCALARS for item in value):
        return [with_arrays(item) for item in value]
    return value
