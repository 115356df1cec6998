"""``/v1/chat/completions``: a request to the parameters of ``chat.complete``."""

from __future__ import annotations

import attrs

from rkllm_twisted.http.openai.fields import CHAT
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.images import refuse_files
from rkllm_twisted.http.translation.reading import Body, count, flag, mapping, text, wrong

#: Each answer is a run of its own.
MAX_ANSWERS = 8
#: Fields that go to the daemon as they are; it checks them, and its errors name their places.
_UNCHANGED = ("messages", "tools", "tool_choice", "response_format", "stop", "truncate", "lora")


@attrs.frozen
class ChatCall(ModelCall):
    """What a request asks for.

    :param include_usage: True if a stream ends with a chunk that has usage.
    :param n: the number of answers.
    """

    include_usage: bool
    n: int


def read_chat(body: Body) -> ChatCall:
    """Read the body of a request.

    :raises HTTPError: a field is wrong, or asks for what RKLLM cannot do.
    """
    if "messages" not in body:
        raise wrong("messages", "is missing")
    refuse_files(body["messages"])
    ignored = ignored_fields(body, CHAT)
    params = {name: body[name] for name in _UNCHANGED if body.get(name) is not None}
    limit = count(body, "max_completion_tokens") or count(body, "max_tokens")
    if limit is not None:
        params["max_new_tokens"] = limit
    conversation = text(body, "prompt_cache_key")
    if conversation:
        params["conversation"] = conversation
    thinking = read_thinking(body)
    if thinking is not None:
        params["enable_thinking"] = thinking
    usage = bool(flag(mapping(body, "stream_options"), "include_usage"))
    answers = count(body, "n", 1, MAX_ANSWERS) or 1
    return ChatCall.run(body, params, ignored, include_usage=usage, n=answers)


def read_thinking(body: Body) -> bool | None:
    """Return whether the model should reason first; None if it decides.

    :raises HTTPError: a field is wrong.
    """
    asked = flag(body, "enable_thinking")
    if asked is None:
        asked = flag(mapping(body, "chat_template_kwargs"), "enable_thinking")
    effort = text(body, "reasoning_effort")
    if asked is None and effort is not None:
        return effort != "none"
    return asked
