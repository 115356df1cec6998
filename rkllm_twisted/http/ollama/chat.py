"""``/api/chat``: a request to the parameters of ``chat.complete``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.ollama import fields
from rkllm_twisted.http.ollama.call import CHAT, OllamaCall, read_call, read_format
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, flag, wrong


def read_chat(body: Body) -> OllamaCall:
    """Read the body of a request.

    :raises HTTPError: a field is wrong, or asks for what RKLLM cannot do.
    """
    ignored = ignored_fields(body, fields.CHAT)
    messages = read_messages(body.get("messages"))
    if not messages:
        return read_call(body, None, {}, ignored)
    params: dict[str, Any] = {"messages": messages}
    if body.get("tools"):
        params["tools"] = body["tools"]
    return read_call(body, CHAT, {**params, **chat_params(body)}, ignored)


def chat_params(body: Body) -> Mapping[str, Any]:
    """Return the parameters of ``chat.complete`` that do not depend on how the question is put.

    :raises HTTPError: a field is wrong.
    """
    params: dict[str, Any] = {}
    form = read_format(body.get("format"))
    if form is not None:
        params["response_format"] = form
    if flag(body, "truncate") is not False:  # a chat of Ollama's loses its beginning
        params["truncate"] = True
    return params


def read_messages(value: object) -> list[Mapping[str, Any]]:
    """Read ``messages``. The daemon checks the rest, with the same places in its errors.

    :raises HTTPError: it is no array of objects, or there are images.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong("messages", f"must be an array of messages, not {shown(value)}")
    messages: list[Mapping[str, Any]] = []
    calls: set[object] = set()
    for number, one in enumerate(value):
        place = f"messages[{number}]"
        if not isinstance(one, dict):
            raise wrong(place, f"must be an object with role and content, not {shown(one)}")
        if one.get("images"):
            raise wrong(f"{place}.images", "this model does not read images")
        message = {name: given for name, given in one.items() if given not in (None, [])}
        message.pop("images", None)
        if not message.get("tool_calls"):
            message.setdefault("content", "")
        else:
            calls = _ids(message["tool_calls"])
        # Some clients keep the id of a result, but not that of its call.
        call_id = message.get("tool_call_id")
        if isinstance(call_id, str) and call_id not in calls:
            del message["tool_call_id"]
        messages.append(message)
    return messages


def _ids(calls: object) -> set[object]:
    """Return the ids of calls; the daemon checks their form."""
    if not isinstance(calls, list):
        return set()
    found = (call.get("id") for call in calls if isinstance(call, dict))
    return {one for one in found if isinstance(one, str) and one}
