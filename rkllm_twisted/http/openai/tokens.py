"""``/tokenize``, ``/detokenize`` and ``/apply-template``, in llama.cpp's form."""

from __future__ import annotations

from rkllm_twisted.http.openai.chat import read_thinking
from rkllm_twisted.http.openai.fields import APPLY_TEMPLATE, DETOKENIZE, TOKENIZE
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, flag, text, wrong


def read_tokenize(body: Body) -> ModelCall:
    """Read the body of ``/tokenize``.

    :returns: a call of ``tokens.encode``.
    :raises HTTPError: a field is wrong.
    """
    ignored = ignored_fields(body, TOKENIZE)
    content = text(body, "content")
    if content is None:
        raise wrong("content", "is missing")
    marks = flag(body, "parse_special")
    return ModelCall.of(body, {"text": content, "marks": marks is None or marks}, ignored)


def read_detokenize(body: Body) -> ModelCall:
    """Read the body of ``/detokenize``.

    :returns: a call of ``tokens.decode``.
    :raises HTTPError: a field is wrong.
    """
    ignored = ignored_fields(body, DETOKENIZE)
    tokens = body.get("tokens")
    if not isinstance(tokens, list):
        raise wrong("tokens", "must be an array of numbers")
    return ModelCall.of(body, {"tokens": tokens}, ignored)


def read_apply_template(body: Body) -> ModelCall:
    """Read the body of ``/apply-template``.

    :returns: a call of ``chat.render``.
    :raises HTTPError: a field is wrong.
    """
    ignored = ignored_fields(body, APPLY_TEMPLATE)
    if body.get("messages") is None:
        raise wrong("messages", "is missing")
    names = ("messages", "tools", "tool_choice", "truncate")
    params = {name: body[name] for name in names if body.get(name) is not None}
    thinking = read_thinking(body)
    if thinking is not None:
        params["enable_thinking"] = thinking
    return ModelCall.of(body, params, ignored)
