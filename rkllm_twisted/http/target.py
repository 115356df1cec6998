"""A model and the daemon that answers for it; each answer is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from rkllm_twisted.http.precedence import is_background
from rkllm_twisted.http.served_models import ServedModel
from rkllm_twisted.values import OnResults

if TYPE_CHECKING:
    from rkllm_twisted.http.daemons import DaemonLink


@attrs.frozen
class ModelAnswer:
    """A request to a model that has been answered.

    :param client: the client of the service.
    :param model: the model's name.
    :param usage: ``usage`` of the result: numbers of tokens, and times in ms if it was a run.
    :param seconds: from the request to the result, with the time in the daemon's queue.
    :param first_s: from the request to the first piece; None if the answer came at once.
    :param load_s: seconds for which the request waited for its model to be loaded.
    """

    client: str
    model: str
    usage: Mapping[str, Any]
    seconds: float
    first_s: float | None
    load_s: float = 0.0


#: Called with each request that a model has answered.
OnRun = Callable[[ModelAnswer], object]


@attrs.frozen
class Target:
    """A model, and the daemon that answers for it.

    :param model: the model; None if a request named none and none is loaded.
    :param client: the client of the service, by which turns go.
    :param on_run: called with each :class:`ModelAnswer`.
    :param seconds: the clock.
    """

    model: ServedModel
    link: DaemonLink
    client: str
    _on_run: Sequence[OnRun] = ()
    _seconds: Callable[[], float] = time.monotonic

    def params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of a request, with the model's name for the daemon."""
        if self.model.target is None:
            return params
        return {**params, "model": self.model.target}

    async def call(
        self, method: str, params: Mapping[str, Any], on_results: OnResults | None = None
    ) -> Any:
        """Make a request for the model, and return its result; of a stream, the final one.

        :param on_results: called with partial results, those that came together at once; None: the
            answer is not streamed.
        """
        began, loading_s = self._seconds(), self.link.load_s
        first: float | None = None

        def pass_on(results: Sequence[Any]) -> None:
            nonlocal first
            if first is None:
                first = self._seconds()
            if on_results is not None:
                on_results(results)

        asked = self.params(params)
        if on_results is not None:
            asked = {**asked, "stream": True}
        async with self.link.precedence.turn(is_background(params.get("messages"))):
            result = await self.link.lane(self.client).call(method, asked, pass_on)
        await self._has_run(result, began, loading_s, first)
        return result

    async def _has_run(
        self, result: Any, began: float, loading_s: float, first: float | None
    ) -> None:
        """Call those that count runs, if this is a final result.

        :param loading_s: seconds that the daemon had spent loading models when the request came.
        """
        if not (isinstance(result, Mapping) and "usage" in result):
            return
        ended = self._seconds()
        record = ModelAnswer(
            self.client,
            self.model.name,
            result["usage"],
            ended - began,
            None if first is None else first - began,
            0.0 if self.model.loaded else max(0.0, await self.link.loading_s() - loading_s),
        )
        for on_run in self._on_run:
            on_run(record)
