"""``/v1/chat/completions``: results of ``chat.complete`` to OpenAI's answers and chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import msgspec
from zope.interface import implementer

from rkllm_twisted.http.translation.results import (
    JSON,
    WholeCalls,
    check_result,
    own_members,
)
from rkllm_twisted.http_interfaces import IStreamedAnswer

#: The texts of a chunk's ``delta``.
_TEXTS = ("reasoning_content", "content")
#: A text that stands for another one.
_TEXT = "\0"
_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Label:
    """What all chunks of an answer have in common.

    :param id: ``chatcmpl-…``.
    :param created: seconds since 1970.
    :param fingerprint: changes if the same request may have another answer.
    """

    id: str
    created: int
    model: str
    fingerprint: str

    def chunk(self, choices: Sequence[JSON], **further: object) -> dict[str, object]:
        """Return a chunk."""
        return self.body("chat.completion.chunk", choices, **further)

    def body(self, kind: str, choices: Sequence[JSON], **further: object) -> dict[str, object]:
        """Return an object of the API."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
            **further,
        }


def usage_of(results: Sequence[JSON]) -> dict[str, object]:
    """Return the tokens of one or more answers to the same prompt."""
    first = results[0]["usage"]
    completion = sum(one["usage"]["completion_tokens"] for one in results)
    reasoning = sum(one["usage"]["reasoning_tokens"] for one in results)
    return {
        "prompt_tokens": first["prompt_tokens"],
        "completion_tokens": completion,
        "total_tokens": first["prompt_tokens"] + completion,
        "prompt_tokens_details": {"cached_tokens": first["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def timings_of(result: JSON) -> dict[str, object]:
    """Return the times in llama.cpp's form, which its tools read."""
    usage = result["usage"]
    read = usage["prompt_tokens"] - usage["cached_tokens"]
    return {
        "cache_n": usage["cached_tokens"],
        "prompt_n": read,
        "prompt_ms": usage["prefill_ms"],
        "prompt_per_second": _rate(read, usage["prefill_ms"]),
        "predicted_n": usage["completion_tokens"],
        "predicted_ms": usage["generate_ms"],
        "predicted_per_second": _rate(usage["completion_tokens"], usage["generate_ms"]),
    }


def _rate(count: int, milliseconds: float) -> float:
    return round(1000 * count / milliseconds, 3) if milliseconds else 0.0


def chat_completion(label: Label, results: Sequence[JSON]) -> JSON:
    """Return the whole answer.

    :raises HTTPError: see :func:`check_result`.
    """
    for result in results:
        check_result(result)
    choices = [
        {
            "index": index,
            "message": _message(result["message"]),
            "logprobs": None,
            "finish_reason": result["finish_reason"],
        }
        for index, result in enumerate(results)
    ]
    return label.body(
        "chat.completion",
        choices,
        usage=usage_of(results),
        timings=timings_of(results[-1]),
        rkllm=own_members(*results),
    )


def _message(message: JSON) -> JSON:
    whole = {"role": "assistant", "content": message["content"], "refusal": None, **message}
    if not whole.get("tool_calls") and whole["content"] is None:
        whole["content"] = ""
    return whole


@implementer(IStreamedAnswer)
class ChatChunks:
    """The chunks of one choice of a streamed answer.

    :param has_usage: True if the stream ends with a chunk that has usage.
    """

    def __init__(self, label: Label, index: int, has_usage: bool) -> None:
        self._label = label
        self._index = index
        self._further = {"usage": None} if has_usage else {}
        self._calls = WholeCalls()
        self._texts = {name: self._around_text(name) for name in _TEXTS}

    def _around_text(self, name: str) -> tuple[bytes, bytes]:
        """Return the JSON before and behind the text of a chunk with that text only."""
        before, _, after = _encode(self._chunk({name: _TEXT})).rpartition(_encode(_TEXT))
        return before, after

    def first(self) -> Iterator[JSON]:
        """Yield the first chunk."""
        yield self._chunk({"role": "assistant", "content": ""})

    def piece(self, piece: JSON) -> Sequence[JSON | bytes]:
        """Return the chunks for a partial result of ``chat.complete``."""
        call = self._calls.feed(piece)
        chunks: list[JSON | bytes] = [] if call is None else [*self._call(call)]
        if len(piece) == 1:  # most are
            ((name, text),) = piece.items()
            around = self._texts.get(name)
            if around is not None and text:
                chunks.append(around[0] + _encode(text) + around[1])
            return chunks
        delta = {name: piece[name] for name in _TEXTS if piece.get(name)}
        if delta:
            chunks.append(self._chunk(delta))
        return chunks

    def last(self, result: JSON) -> Iterator[JSON]:
        """Yield the chunks for the final result.

        :raises HTTPError: see :func:`check_result`.
        """
        check_result(result)
        yield from self._call(self._calls.end())
        yield self._label.chunk(
            [self._choice({}, result["finish_reason"])],
            timings=timings_of(result),
            rkllm=own_members(result),
            **self._further,
        )

    def _call(self, call: JSON | None) -> Iterator[JSON]:
        if call is None:
            return
        index = call["index"]
        function = {"name": call["name"], "arguments": ""}
        begin = {"index": index, "id": call["id"], "type": "function", "function": function}
        yield self._chunk({"tool_calls": [begin]})
        piece = {"index": index, "function": {"arguments": call["arguments"]}}
        yield self._chunk({"tool_calls": [piece]})

    def _chunk(self, delta: JSON) -> JSON:
        return self._label.chunk([self._choice(delta, None)], **self._further)

    def _choice(self, delta: JSON, reason: str | None) -> JSON:
        return {"index": self._index, "delta": delta, "logprobs": None, "finish_reason": reason}


def usage_chunk(label: Label, results: Sequence[JSON]) -> JSON:
    """Return the chunk with the usage, which a stream has if it was asked for."""
    return label.chunk([], usage=usage_of(results))
