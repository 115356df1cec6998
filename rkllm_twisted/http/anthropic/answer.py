"""Results of ``chat.complete`` to Anthropic's messages and events."""

from __future__ import annotations

import json
from collections.abc import Iterator

import attrs
from zope.interface import implementer

from rkllm_twisted.http.translation.results import JSON, WholeCalls, check_result, own_members
from rkllm_twisted.http_interfaces import IStreamedAnswer

#: ``finish_reason`` -> ``stop_reason``. The daemon does not say which text ended an answer.
_REASONS = {"length": "max_tokens", "tool_calls": "tool_use"}
#: Members of a piece -> the type of block, and the member of its text.
_TEXTS = {"reasoning_content": ("thinking", "thinking"), "content": ("text", "text")}


def usage_of_message(result: JSON) -> JSON:
    """Return the tokens; what was in the cache is not among the input tokens."""
    usage = result["usage"]
    return {
        "input_tokens": usage["prompt_tokens"] - usage["cached_tokens"],
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage["cached_tokens"],
        "output_tokens": usage["completion_tokens"],
    }


def message_answer(message_id: str, model: str, result: JSON) -> JSON:
    """Return the whole answer.

    :raises HTTPError: the run was aborted.
    """
    check_result(result)
    message = result["message"]
    content: list[JSON] = []
    if message.get("reasoning_content"):
        thought = message["reasoning_content"]
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    calls = message.get("tool_calls") or ()
    if message.get("content") or not calls:
        content.append({"type": "text", "text": message.get("content") or ""})
    for call in calls:
        function = call["function"]
        given = json.loads(function["arguments"])
        content.append(
            {"type": "tool_use", "id": call["id"], "name": function["name"], "input": given}
        )
    return {
        **_message(message_id, model),
        "content": content,
        "stop_reason": _REASONS.get(result["finish_reason"], "end_turn"),
        "usage": usage_of_message(result),
        "rkllm": own_members(result),
    }


def _message(message_id: str, model: str) -> dict[str, object]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


@implementer(IStreamedAnswer)
@attrs.define
class MessageEvents:
    """The events of a streamed answer. Each has its name as ``type``, too."""

    message_id: str
    model: str
    _calls: WholeCalls = attrs.field(factory=WholeCalls)
    _open: str = ""
    _index: int = -1

    def first(self) -> Iterator[JSON]:
        """Yield the events before the first piece. How much was read is known at the end only."""
        usage = {"input_tokens": 0, "output_tokens": 0}
        message = {**_message(self.message_id, self.model), "usage": usage}
        yield {"type": "message_start", "message": message}
        yield {"type": "ping"}

    def piece(self, piece: JSON) -> Iterator[JSON]:
        """Yield the events for a partial result."""
        yield from self._tool_use(self._calls.feed(piece))
        for member, (block, name) in _TEXTS.items():
            if piece.get(member):
                if self._open != block:
                    start = {"type": block, name: ""}
                    yield from self._begin(start if block == "text" else {**start, "signature": ""})
                yield self._delta({"type": f"{block}_delta", name: piece[member]})

    def last(self, result: JSON) -> Iterator[JSON]:
        """Yield the events for the final result.

        :raises HTTPError: the run was aborted.
        """
        check_result(result)
        yield from self._tool_use(self._calls.end())
        if self._index < 0:
            yield from self._begin({"type": "text", "text": ""})
        yield from self._end()
        reason = _REASONS.get(result["finish_reason"], "end_turn")
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage, own = usage_of_message(result), own_members(result)
        yield {"type": "message_delta", "delta": delta, "usage": usage, "rkllm": own}
        yield {"type": "message_stop"}

    def _tool_use(self, call: JSON | None) -> Iterator[JSON]:
        if call is not None:
            block = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}}
            yield from self._begin(block)
            yield self._delta({"type": "input_json_delta", "partial_json": call["arguments"]})
            yield from self._end()

    def _begin(self, block: JSON) -> Iterator[JSON]:
        yield from self._end()
        self._open = block["type"]
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, delta: JSON) -> JSON:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _end(self) -> Iterator[JSON]:
        if self._open:
            self._open = ""
            yield {"type": "content_block_stop", "index": self._index}
