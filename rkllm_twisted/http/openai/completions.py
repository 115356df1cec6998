"""``/v1/completions``: a request to parameters of ``text.complete``, and results to answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from zope.interface import implementer

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.openai.chat import MAX_ANSWERS
from rkllm_twisted.http.openai.chat_answer import Label, timings_of
from rkllm_twisted.http.openai.fields import TEXT_COMPLETION
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, flag, mapping, text, wrong
from rkllm_twisted.http.translation.results import JSON, check_result
from rkllm_twisted.http_interfaces import IStreamedAnswer

#: Each prompt is a run of its own.
MAX_PROMPTS = 64
KIND = "text_completion"

TextPrompt = str | Sequence[int]


@attrs.frozen
class TextCall(ModelCall):
    """What a request asks for.

    :param prompts: one for each choice; each is the parameter ``prompt`` of a run.
    :param include_usage: True if a stream ends with a chunk that has usage.
    :param echo: True if an answer begins with its prompt.
    """

    prompts: Sequence[TextPrompt]
    include_usage: bool
    echo: bool

    def echoed(self, prompt: TextPrompt) -> str:
        """Return what an answer begins with."""
        return prompt if self.echo and isinstance(prompt, str) else ""


def read_completion(body: Body) -> TextCall:
    """Read the body of a request.

    :raises HTTPError: a field is wrong, or asks for what RKLLM cannot do.
    """
    ignored = ignored_fields(body, TEXT_COMPLETION)
    prompts = read_prompts(body.get("prompt"))
    echo = bool(flag(body, "echo"))
    if echo and not all(isinstance(prompt, str) for prompt in prompts):
        raise wrong("echo", "needs prompts that are texts")
    params = {name: body[name] for name in ("stop", "lora") if body.get(name) is not None}
    limit = count(body, "max_tokens")
    if limit is not None:
        params["max_new_tokens"] = limit
    suffix = text(body, "suffix")
    if suffix:
        params["suffix"] = suffix
    answers = count(body, "n", 1, MAX_ANSWERS) or 1
    usage = bool(flag(mapping(body, "stream_options"), "include_usage"))
    repeated = [prompt for prompt in prompts for _ in range(answers)]
    further = {"prompts": repeated, "include_usage": usage, "echo": echo}
    return TextCall.run(body, params, ignored, **further)


def read_prompts(value: object) -> Sequence[TextPrompt]:
    """Read ``prompt``: a text, tokens, or an array of either.

    :raises HTTPError: it is something else.
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise wrong("prompt", f"must be a text, tokens, or several of these, not {shown(value)}")
    if all(_is_token(one) for one in value):
        return [value]
    if len(value) > MAX_PROMPTS:
        raise wrong("prompt", f"{len(value)} prompts are too many, at most {MAX_PROMPTS} go")
    for number, one in enumerate(value):
        is_tokens = isinstance(one, list) and one and all(_is_token(token) for token in one)
        if not isinstance(one, str) and not is_tokens:
            raise wrong(f"prompt[{number}]", f"must be a text or tokens, not {shown(one)}")
    return value


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _choice(index: int, text: str, reason: str | None) -> JSON:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


@implementer(IStreamedAnswer)
class TextChunks:
    """The chunks of one choice of a streamed answer.

    :param before: what the answer begins with.
    :param has_usage: True if the stream ends with a chunk that has usage.
    """

    def __init__(self, label: Label, index: int, before: str, has_usage: bool) -> None:
        self._label = label
        self._index = index
        self._before = before
        self._further = {"usage": None} if has_usage else {}

    def first(self) -> Iterator[JSON]:
        """Yield nothing: a chunk needs a text."""
        return iter(())

    def piece(self, piece: JSON) -> Iterator[JSON]:
        """Yield the chunk for a partial result of ``text.complete``."""
        yield self._chunk(piece["text"], None)

    def last(self, result: JSON) -> Iterator[JSON]:
        """Yield the chunk for the final result.

        :raises HTTPError: see :func:`check_result`.
        """
        check_result(result)
        yield self._chunk("", result["finish_reason"])

    def _chunk(self, text: str, reason: str | None) -> JSON:
        before, self._before = self._before, ""
        choice = _choice(self._index, before + text, reason)
        return self._label.body(KIND, [choice], **self._further)


def usage_chunk(label: Label, results: Sequence[JSON]) -> JSON:
    """Return the chunk with the usage, which a stream has if it was asked for."""
    return label.body(KIND, [], usage=total_usage(results))


def total_usage(results: Sequence[JSON]) -> dict[str, object]:
    """Return the tokens of all answers; each has read its prompt."""
    usages = [result["usage"] for result in results]

    def total(name: str) -> int:
        return sum(usage[name] for usage in usages)

    return {
        "prompt_tokens": total("prompt_tokens"),
        "completion_tokens": total("completion_tokens"),
        "total_tokens": total("prompt_tokens") + total("completion_tokens"),
        "prompt_tokens_details": {"cached_tokens": total("cached_tokens")},
    }


def text_completion(label: Label, call: TextCall, results: Sequence[JSON]) -> JSON:
    """Return the whole answer.

    :raises HTTPError: see :func:`check_result`.
    """
    for result in results:
        check_result(result)
    choices = [
        _choice(index, call.echoed(prompt) + result["text"], result["finish_reason"])
        for index, (prompt, result) in enumerate(zip(call.prompts, results, strict=True))
    ]
    timings = timings_of(results[-1])
    return label.body(KIND, choices, usage=total_usage(results), timings=timings)
