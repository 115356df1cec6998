"""``/api/chat``: a request to the parameters of ``chat.complete``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.ollama import fields
from rkllm_twisted.http.ollama.call import CHAT, OllamaCall, read_call, read_format
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.images import base64_part
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

    :raises HTTPError: it is no array of objects, or images are no texts.
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
        message = {name: given for name, given in one.items() if given not in (None, [])}
        if "images" in message:
            text = message.get("content", "")
            message["content"] = with_images(text, message.pop("images"), f"{place}.images")
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


def with_images(text: object, images: object, place: str) -> list[Mapping[str, Any]]:
    """Return the content of a message: its images, then its text.

    :param images: an array of texts in base64.
    :raises HTTPError: they are something else.
    """
    if not isinstance(images, list):
        raise wrong(place, f"must be an array of images in base64, not {shown(images)}")
    parts = [base64_part(image, f"{place}[{at}]") for at, image in enumerate(images)]
    return [*parts, {"type": "text", "text": text}]


def _ids(calls: object) -> set[object]:
    """Return the ids of calls; the daemon checks their form."""
    if not isinstance(calls, list):
        return set()
    found = (call.get("id") for call in calls if isinstance(call, dict))
    return {one for one in found if isinstance(one, str) and one}
