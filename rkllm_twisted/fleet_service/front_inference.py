"""Chat, text, embeddings, scores and tokens of a fleet: each request goes to a board."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.fleet_service.affinity import conversation_key
from rkllm_twisted.fleet_service.fleet_call import FleetCall
from rkllm_twisted.fleet_service.front_npu import name_of
from rkllm_twisted.fleet_service.line import Line
from rkllm_twisted.fleet_service.wire_values import with_arrays
from rkllm_twisted.inference.exact_reading import NOT_CONTINUED

Reply = Mapping[str, Any]


class FleetInference:
    """In the place of :class:`rkllm_twisted.inference.service.Inference`.

    :param line: the line in front of the boards.
    :param front: the name of this front.
    """

    def __init__(self, line: Line, front: str) -> None:
        self._line = line
        self._front = front

    def answer(
        self, method: str, params: Any, client: Hashable, stream: Callable[[Reply], object]
    ) -> Deferred[Reply]:
        """Return a board's answer to a request.

        :param method: such as ``chat.complete``.
        :param params: an instance of the method's class of parameters.
        :param stream: called with each partial result.
        :raises RPCError: the board's error, or there is no such board.
        """
        is_quiet = getattr(params, "stream", None) is False
        given = attrs.asdict(params, filter=_is_given)
        model = given.pop("model", None)
        key = conversation_key(given.get("conversation"), given.get("messages"))
        name = f"{self._front}/{key}" if key else name_of(client, self._front)

        def on_results(results: Sequence[Any]) -> None:
            if not is_quiet:
                for result in results:
                    stream(with_arrays(result))

        def asked(given: Mapping[str, Any]) -> Deferred[Reply]:
            call = FleetCall(method, given, client, name, on_results, model=model, key=key)
            return self._line.submit(call).addCallback(with_arrays)

        if not is_quiet:
            return asked(given)
        # The board streams, so that the front knows whether an answer has begun: then it is not
        # made again elsewhere.
        return asked({**given, "stream": True}).addErrback(_unless_not_continued, asked, given)


def _unless_not_continued(
    failure: Failure,
    asked: Callable[[Mapping[str, Any]], Deferred[Reply]],
    given: Mapping[str, Any],
) -> Any:
    """Ask again without a stream where a daemon begins an answer anew that it cannot take back."""
    data = failure.value.data if isinstance(failure.value, RuntimeRefused) else None
    return asked(given) if (data or {}).get("reason") == NOT_CONTINUED else failure


def _is_given(attribute: Any, value: object) -> bool:
    """True if a parameter is not what it is when it is left out."""
    return attribute.default is attrs.NOTHING or value != attribute.default
