"""``/v1/completions``: a request to parameters of ``text.complete``, and results to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.openai.chat import MAX_ANSWERS
from rkllm_twisted.http.openai.chat_answer import Label, timings_of
from rkllm_twisted.http.openai.fields import TEXT_COMPLETION
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import (
    Body,
    count,
    flag,
    mapping,
    model_name,
    text,
    wrong,
)
from rkllm_twisted.http.translation.results import JSON, check_result
from rkllm_twisted.http.translation.sampling import Sampling, read_sampling

#: Each prompt is a run of its own.
MAX_PROMPTS = 64
KIND = "text_completion"

TextPrompt = str | Sequence[int]


@attrs.frozen
class TextCall:
    """What a request asks for.

    :param prompts: one for each choice.
    :param params: parameters of ``text.complete``, without prompt, model, sampling and stream.
    :param echo: True if an answer begins with its prompt.
    :param ignored: the names of fields that change nothing.
    """

    model: str | None
    prompts: Sequence[TextPrompt]
    params: Mapping[str, Any]
    sampling: Sampling
    stream: bool
    include_usage: bool
    echo: bool
    ignored: tuple[str, ...]

    def for_release(self, samples: bool) -> TextCall:
        """Return the call for a runtime; see :meth:`ChatCall.for_release`."""
        params, ignored = self.sampling.applied(self.params, samples)
        return attrs.evolve(self, params=params, ignored=(*self.ignored, *ignored))

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
    return TextCall(
        model_name(body),
        [prompt for prompt in prompts for _ in range(answers)],
        params,
        read_sampling(body),
        bool(flag(body, "stream")),
        bool(flag(mapping(body, "stream_options"), "include_usage")),
        echo,
        ignored,
    )


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


def text_choice(index: int, text: str, reason: str | None) -> JSON:
    """Return a choice, whole or a piece of one."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


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
        text_choice(index, call.echoed(prompt) + result["text"], result["finish_reason"])
        for index, (prompt, result) in enumerate(zip(call.prompts, results, strict=True))
    ]
    timings = timings_of(results[-1])
    return label.body(KIND, choices, usage=total_usage(results), timings=timings)
