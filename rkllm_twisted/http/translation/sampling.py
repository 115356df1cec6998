"""Sampling parameters: fields of a request to fields of RKLLMSamplingParam (rkllm.h 1.3.0)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from rkllm_twisted.http.translation.fields import Field, Ignored
from rkllm_twisted.http.translation.reading import Body, count, number

#: The rows of the tables of fields, the same for all APIs. :func:`read_sampling` reads each.
SAMPLING: Mapping[str, Field] = MappingProxyType(
    {
        "temperature": Field.taken("0 to 2; 0 takes the likeliest token.", "number"),
        "top_p": Field.taken("0 to 1.", "number"),
        "top_k": Field.taken("Sample among so many of the likeliest tokens.", "integer"),
        "presence_penalty": Field.taken("-2 to 2.", "number"),
        "frequency_penalty": Field.taken("-2 to 2.", "number"),
        "repeat_penalty": Field.taken("1 is off.", "number"),
        "repetition_penalty": Field.taken("The same.", "number"),
        "mirostat": Field.taken("0 is off.", "integer"),
        "mirostat_tau": Field.taken("For mirostat.", "number"),
        "mirostat_eta": Field.taken("For mirostat.", "number"),
    }
)
_NOT_PER_RUN = "This runtime takes it when a model is loaded only."
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

    values: Mapping[str, float] = attrs.field(factory=dict)
    fields: tuple[str, ...] = ()

    def applied(
        self, params: Mapping[str, Any], samples: bool
    ) -> tuple[Mapping[str, Any], Ignored]:
        """Return the parameters of a run with these, and the fields that are ignored.

        :param samples: True if a run may have sampling parameters of its own (rkllm.h 1.3.0).
        """
        if not self.values:
            return params, {}
        if not samples:
            return params, dict.fromkeys(self.fields, _NOT_PER_RUN)
        return {**params, "sampling": self.values}, {}


def read_sampling(body: Body, place: str = "") -> Sampling:
    """Read the sampling fields.

    :param place: where they are in the request, such as ``options.``.
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
    return Sampling(values, tuple(place + field for field in fields))
