"""Sampling parameters: fields of a request to fields of RKLLMSamplingParam (rkllm.h 1.3.0)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from rkllm_twisted.http.translation.reading import Body, count, number

#: Field -> the field of RKLLMSamplingParam, the lowest and the highest value.
_NUMBERS: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "temperature": ("temperature", 0, 2),
        "top_p": ("top_p", 0, 1),
        "presence_penalty": ("presence_penalty", -2, 2),
        "frequency_penalty": ("frequency_penalty", -2, 2),
        "repeat_penalty": ("repeat_penalty", 0, 10),
        "repetition_penalty": ("repeat_penalty", 0, 10),
        "mirostat_tau": ("mirostat_tau", 0, 100),
        "mirostat_eta": ("mirostat_eta", 0, 1),
    }
)
#: Highest values of those that are whole numbers; the lowest is 0.
_COUNTS: Mapping[str, int] = MappingProxyType({"top_k": 10**6, "mirostat": 2})


@attrs.frozen
class Sampling:
    """What a request asks for.

    :param values: fields of RKLLMSamplingParam.
    :param fields: the names of the request's fields.
    """

    values: Mapping[str, float]
    fields: tuple[str, ...]

    def applied(
        self, params: Mapping[str, Any], samples: bool
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Return the parameters of a run with these, and the names of the fields that are ignored.

        :param samples: True if a run may have sampling parameters of its own (rkllm.h 1.3.0).
        """
        if not self.values:
            return params, ()
        if not samples:
            return params, self.fields
        return {**params, "sampling": self.values}, ()


def read_sampling(body: Body) -> Sampling:
    """Read the sampling fields.

    :raises HTTPError: a value is wrong; the error names its field.
    """
    values: dict[str, float] = {}
    fields: list[str] = []
    for field, (name, low, high) in _NUMBERS.items():
        given = number(body, field, low, high)
        if given is not None:
            values[name] = given
            fields.append(field)
    for field, high in _COUNTS.items():
        whole = count(body, field, 0, high)
        if whole is not None:
            values[field] = whole
            fields.append(field)
    if values.get("temperature") == 0:
        # A division by 0 in some samplers; the likeliest token is what is meant.
        del values["temperature"]
        values["top_k"] = 1
    if values.get("top_k") == 0:
        del values["top_k"]  # 0 is "all" to others, and RKLLM has no such value
    return Sampling(values, tuple(fields))
