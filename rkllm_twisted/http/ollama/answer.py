"""``/api/chat`` and ``/api/generate``: results of the daemon to the lines of an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import attrs
from zope.interface import implementer

from rkllm_twisted.http.translation.results import (
    JSON,
    WholeCalls,
    check_result,
    own_members,
)
from rkllm_twisted.http_interfaces import IStreamedAnswer

_NS_PER_MS = 1_000_000


@implementer(IStreamedAnswer)
@attrs.frozen
class AnswerLines:
    """The lines of an answer.

    :param model: the name that the request gave the model.
    :param is_chat: True for ``/api/chat``, False for ``/api/generate``.
    :param now: returns the time, in the form of RFC 3339.
    :param elapsed_ns: returns the nanoseconds since the request came.
    """

    model: str
    is_chat: bool
    _now: Callable[[], str]
    _elapsed_ns: Callable[[], int]
    _calls: WholeCalls = attrs.field(factory=WholeCalls)

    def first(self) -> Iterator[JSON]:
        """Yield nothing: a line needs a text."""
        return iter(())

    def piece(self, piece: JSON) -> Iterator[JSON]:
        """Yield the lines for a partial result."""
        yield from self._call(self._calls.feed(piece))
        content, thinking = _text_of(piece), piece.get("reasoning_content", "")
        if content or thinking:
            yield self._line(content, thinking)

    def last(self, result: JSON) -> Iterator[JSON]:
        """Yield the lines for the final result.

        :raises HTTPError: the run was aborted.
        """
        check_result(result)
        yield from self._call(self._calls.end())
        yield {**self._line(), **self._end(result)}

    def whole(self, result: JSON) -> JSON:
        """Return the whole answer.

        :raises HTTPError: the run was aborted.
        """
        check_result(result)
        message = result.get("message", {})
        calls = [
            {"index": index, "id": call["id"], **call["function"]}
            for index, call in enumerate(message.get("tool_calls") or ())
        ]
        content = message.get("content") or result.get("text", "")
        line = self._line(content, message.get("reasoning_content", ""), calls)
        return {**line, **self._end(result)}

    def without_run(self, reason: str) -> JSON:
        """Return the answer to a request that only loads or unloads the model.

        :param reason: ``load`` or ``unload``.
        """
        return {**self._line(), "done": True, "done_reason": reason}

    def _call(self, call: JSON | None) -> Iterator[JSON]:
        if call is not None:
            yield self._line(calls=[call])

    def _line(
        self, content: str = "", thinking: str = "", calls: Sequence[JSON] = ()
    ) -> dict[str, object]:
        line: dict[str, object] = {"model": self.model, "created_at": self._now()}
        thought = {"thinking": thinking} if thinking else {}
        if not self.is_chat:
            return {**line, "response": content, **thought, "done": False}
        message = {"role": "assistant", "content": content, **thought}
        if calls:
            message["tool_calls"] = [_tool_call(call) for call in calls]  # type: ignore[assignment]
        return {**line, "message": message, "done": False}

    def _end(self, result: JSON) -> JSON:
        usage, own, total_ns = result["usage"], own_members(result), self._elapsed_ns()
        prompt_ns, eval_ns = (
            int(usage[name] * _NS_PER_MS) for name in ("prefill_ms", "generate_ms")
        )
        return {
            "done": True,
            "done_reason": "length" if result["finish_reason"] == "length" else "stop",
            # Clients send this back as the conversation; it has no tokens here.
            **({} if self.is_chat else {"context": []}),
            "total_duration": total_ns,
            # As in Ollama: all until the model begins to read, the wait for others included.
            "load_duration": max(0, total_ns - prompt_ns - eval_ns),
            "prompt_eval_count": usage["prompt_tokens"],
            "prompt_eval_duration": prompt_ns,
            "eval_count": usage["completion_tokens"],
            "eval_duration": eval_ns,
            **({"rkllm": own} if own else {}),
        }


def _text_of(piece: JSON) -> str:
    """Return the text of a partial result of ``chat.complete`` or of ``text.complete``."""
    text: str = piece.get("content") or piece.get("text") or ""
    return text


def _tool_call(call: JSON) -> JSON:
    function = {
        "index": call["index"],
        "name": call["name"],
        "arguments": json.loads(call["arguments"]),
    }
    return {"id": call["id"], "function": function}
