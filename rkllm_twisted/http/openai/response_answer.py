"""Results of ``chat.complete`` to the response object and the events of ``/v1/responses``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.translation.results import JSON, WholeCalls, check_result, own_members
from rkllm_twisted.http_interfaces import IStreamedAnswer

#: Fields of the request that the answer repeats -> what it has without them.
_REPEATED: JSON = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


@attrs.frozen
class ResponseLabel:
    """What is the same in all events of a response.

    :param new_id: makes an id of a prefix, such as ``msg``.
    :param created: seconds since 1970.
    :param request: the body of the request.
    """

    id: str
    model: str
    created: int
    request: JSON
    new_id: Callable[[str], str]

    def response(self, status: str, output: Sequence[JSON] = (), **further: object) -> JSON:
        """Return the response object."""
        repeated = {
            name: usual if self.request.get(name) is None else self.request[name]
            for name, usual in _REPEATED.items()
        }
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": [*output],
            "previous_response_id": None,
            "store": False,
            "usage": None,
            **repeated,
            **further,
        }

    def ended(self, result: JSON, output: Sequence[JSON]) -> JSON:
        """Return the response object at the end.

        :raises HTTPError: the run was aborted.
        """
        check_result(result)
        further = {"usage": response_usage(result), "rkllm": own_members(result)}
        if result["finish_reason"] == "length":
            details = {"reason": "max_output_tokens"}
            return self.response("incomplete", output, incomplete_details=details, **further)
        return self.response("completed", output, **further)

    def whole(self, result: JSON) -> JSON:
        """Return the whole answer.

        :raises HTTPError: the run was aborted.
        """
        message = result["message"]
        calls = message.get("tool_calls") or ()
        end = last_status(result)
        thought, content = message.get("reasoning_content"), message.get("content")
        output: list[JSON] = []
        if thought:
            status = "completed" if content else end
            output.append(self.reasoning(self.new_id("rs"), thought, status))
        if content or not (thought or calls):
            output.append(self.message(self.new_id("msg"), content or "", end))
        output += [
            self.call(self.new_id("fc"), {"id": call["id"], **call["function"]}) for call in calls
        ]
        return self.ended(result, output)

    def reasoning(self, item_id: str, text: str | None, status: str = "completed") -> JSON:
        """Return an item of reasoning; without text, as it begins."""
        content = [] if text is None else [reasoning_part(text)]
        item = {"id": item_id, "type": "reasoning", "status": status}
        return {**item, "summary": [], "content": content}

    def message(self, item_id: str, text: str | None, status: str = "completed") -> JSON:
        """Return an item with the answer's text; without text, as it begins."""
        content = [] if text is None else [text_part(text)]
        item = {"id": item_id, "type": "message", "status": status}
        return {**item, "role": "assistant", "content": content}

    def call(self, item_id: str, call: JSON, status: str = "completed") -> JSON:
        """Return an item with a call.

        :param call: with id, name and arguments.
        """
        item = {"id": item_id, "type": "function_call", "status": status, "call_id": call["id"]}
        return {**item, "name": call["name"], "arguments": call["arguments"]}


def last_status(result: JSON) -> str:
    """Return the status of the text that the run has ended in."""
    return "incomplete" if result["finish_reason"] == "length" else "completed"


def text_part(text: str) -> JSON:
    """Return a part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def reasoning_part(text: str) -> JSON:
    """Return a part of an item of reasoning."""
    return {"type": "reasoning_text", "text": text}


def response_usage(result: JSON) -> JSON:
    """Return the tokens."""
    usage = result["usage"]
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": usage["cached_tokens"]},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["reasoning_tokens"]},
        "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"],
    }


@attrs.define
class _OpenText:
    """A text that grows: the item of reasoning, or the message.

    :param event: the beginning of its events' names.
    """

    id: str
    index: int
    event: str
    make: Callable[..., JSON]
    part: Callable[[str], JSON]
    text: str = ""


@implementer(IStreamedAnswer)
@attrs.define
class ResponseEvents:
    """The events of a streamed response, numbered."""

    label: ResponseLabel
    _calls: WholeCalls = attrs.field(factory=WholeCalls)
    _output: list[JSON] = attrs.field(factory=list)
    _open: _OpenText | None = None
    _number: int = -1

    def first(self) -> Iterator[JSON]:
        """Yield the events before the first piece."""
        response = self.label.response("in_progress")
        yield self._event("response.created", response=response)
        yield self._event("response.in_progress", response=response)

    def piece(self, piece: JSON) -> Iterator[JSON]:
        """Yield the events for a partial result."""
        yield from self._call(self._calls.feed(piece))
        for member in ("reasoning_content", "content"):
            if piece.get(member):
                yield from self._grow(member, piece[member])

    def last(self, result: JSON) -> Iterator[JSON]:
        """Yield the events for the final result.

        :raises HTTPError: the run was aborted.
        """
        check_result(result)
        yield from self._call(self._calls.end())
        if not self._output and self._open is None:
            yield from self._grow("content", "")
        yield from self._close(last_status(result))
        response = self.label.ended(result, self._output)
        yield self._event(f"response.{response['status']}", response=response)

    def failed(self, error: HTTPError) -> JSON:
        """Return the event for an error amid the stream."""
        reason = {"code": error.code or error.kind, "message": error.message}
        response = self.label.response("failed", self._output, error=reason)
        return self._event("response.failed", response=response)

    def _event(self, kind: str, **further: Any) -> JSON:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **further}

    def _grow(self, member: str, text: str) -> Iterator[JSON]:
        is_answer = member == "content"
        event = "response.output_text" if is_answer else "response.reasoning_text"
        if self._open is None or self._open.event != event:
            yield from self._close()
            make = self.label.message if is_answer else self.label.reasoning
            part = text_part if is_answer else reasoning_part
            item_id = self.label.new_id("msg" if is_answer else "rs")
            self._open = _OpenText(item_id, len(self._output), event, make, part)
            yield from self._opened(self._open)
        self._open.text += text
        if text:
            yield self._event(f"{event}.delta", **_place(self._open), delta=text, **_logs(event))

    def _opened(self, item: _OpenText) -> Iterator[JSON]:
        begun = item.make(item.id, None, "in_progress")
        yield self._event("response.output_item.added", output_index=item.index, item=begun)
        yield self._event("response.content_part.added", **_place(item), part=item.part(""))

    def _close(self, status: str = "completed") -> Iterator[JSON]:
        item, self._open = self._open, None
        if item is None:
            return
        yield self._event(f"{item.event}.done", **_place(item), text=item.text, **_logs(item.event))
        yield self._event("response.content_part.done", **_place(item), part=item.part(item.text))
        yield from self._done(item.make(item.id, item.text, status))

    def _done(self, item: JSON) -> Iterator[JSON]:
        index = len(self._output)
        self._output.append(item)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _call(self, call: JSON | None) -> Iterator[JSON]:
        if call is None:
            return
        yield from self._close()
        item_id, index = self.label.new_id("fc"), len(self._output)
        place = {"item_id": item_id, "output_index": index}
        begun = self.label.call(item_id, {**call, "arguments": ""}, "in_progress")
        yield self._event("response.output_item.added", output_index=index, item=begun)
        kind, arguments = "response.function_call_arguments", call["arguments"]
        yield self._event(f"{kind}.delta", **place, delta=arguments)
        yield self._event(f"{kind}.done", **place, name=call["name"], arguments=arguments)
        yield from self._done(self.label.call(item_id, call))


def _place(item: _OpenText) -> JSON:
    return {"item_id": item.id, "output_index": item.index, "content_index": 0}


def _logs(event: str) -> JSON:
    return {"logprobs": []} if event == "response.output_text" else {}
