"""What a request asks of a model, whatever the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from rkllm_twisted.http.translation.fields import Ignored
from rkllm_twisted.http.translation.reading import Body, flag, model_name
from rkllm_twisted.http.translation.sampling import Sampling, read_sampling

AnyCall = TypeVar("AnyCall", bound="ModelCall")


@attrs.frozen
class ModelCall:
    """What a request asks of a model.

    :param model: its name; None if the request names none.
    :param params: parameters of the daemon's method, without model, sampling and stream.
    :param ignored: the fields that change nothing.
    :param stream: True if the answer is sent in pieces.
    """

    model: str | None
    params: Mapping[str, Any]
    ignored: Ignored
    sampling: Sampling
    stream: bool

    @classmethod
    def of(cls, body: Body, params: Mapping[str, Any], ignored: Ignored) -> ModelCall:
        """Return the call of a request that makes no run.

        :raises HTTPError: the model's name is no text.
        """
        return cls(model_name(body), params, ignored, Sampling(), False)

    @classmethod
    def run(
        cls: type[AnyCall], body: Body, params: Mapping[str, Any], ignored: Ignored, **further: Any
    ) -> AnyCall:
        """Return the call of a request that makes a run.

        :param further: what the API's own kind of call has besides.
        :raises HTTPError: a field is wrong.
        """
        model, stream = model_name(body), bool(flag(body, "stream"))
        return cls(model, params, ignored, read_sampling(body), stream, **further)

    def for_release(self: AnyCall, samples: bool) -> AnyCall:
        """Return the call for a runtime, with what that cannot do among the ignored.

        :param samples: True if a run may have sampling parameters of its own.
        """
        params, ignored = self.sampling.applied(self.params, samples)
        return attrs.evolve(self, params=params, ignored={**self.ignored, **ignored})
