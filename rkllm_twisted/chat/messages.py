"""The messages of a conversation, and the functions that read them from JSON.

The JSON has OpenAI's form (chat completions API, "messages"), because every client knows this form.
An error names the place of the wrong value, e.g. ``messages[3].content[1].type``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import attrs
import msgspec

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.formats.picture_kind import READ, is_refused

#: ``developer`` is OpenAI's newer word for ``system``.
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
#: Members that may hold an earlier answer's reasoning, e.g. of DeepSeek, llama.cpp or Ollama.
REASONING = ("reasoning_content", "reasoning", "thinking")
#: The roles whose messages may have images: a tool may return a screenshot.
SHOW_IMAGES = ("user", "tool")
#: The most images of one message.
MAX_IMAGES = 8
#: Why images are refused, if nothing else is known.
NO_IMAGES = "this model does not read images"
#: The beginning of a ``data:`` URI (RFC 2397): its type, and whether it is in base64.
_DATA_URI = re.compile(r"data:([\w.+*/-]*)(?:;[^;,]*)*?(;base64)?,", re.ASCII)


@attrs.frozen
class Text:
    """A text that is a part of a message."""

    text: str


@attrs.frozen
class Image:
    """An image that is a part of a message.

    :param data: the encoded picture; empty if it is in a file. Nothing is ever fetched.
    :param path: of its file; None if the message holds the picture itself.
    :param place: its place in the parameters, for errors.
    """

    data: bytes = attrs.field(repr=lambda data: f"{len(data)} bytes")
    path: str | None = None
    place: str = attrs.field(default="", eq=False)


Part = Text | Image


@attrs.frozen
class ToolCall:
    """A call of a function, which the model asked for.

    :param arguments: the text of a JSON object, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


@attrs.frozen
class Message:
    """One message.

    :param role: ``system``, ``user``, ``assistant`` or ``tool``.
    :param parts: the message's content; empty if an answer is tool calls only.
    :param reasoning: an earlier answer's reasoning. The template decides whether the model reads
        it again.
    :param tool_calls: an answer's tool calls.
    :param tool_call_id: the id of the call, if the message is a tool's result.
    :param name: the function's name if the message is a tool's result, otherwise the speaker's;
        None if unknown.
    """

    role: str
    parts: tuple[Part, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined without a separator, as OpenAI's API joins them."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        """The image parts in order."""
        return tuple(part for part in self.parts if isinstance(part, Image))


Conversation = tuple[Message, ...]


def say(role: str, text: str) -> Message:
    """Return a message that is one text."""
    return Message(role, (Text(text),))


def wrong(place: str, what: str) -> InvalidParams:
    """Return an error for a wrong parameter. Its text is a sentence that begins with the place.

    :param place: the place of the value in the parameters.
    :param what: the rest of the sentence, without the full stop.
    """
    return InvalidParams(f"{place}: {what}.", {"parameter": place})


def read_messages(value: object, *, no_images: str | None = NO_IMAGES) -> Conversation:
    """Read the ``messages`` of a request.

    :param value: the decoded JSON.
    :param no_images: why the model cannot read images, without a full stop; None if it can.
    :raises InvalidParams: a value is wrong; the error names its place.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise wrong("messages", "must be an array of messages")
    if not value:
        raise wrong("messages", "must have at least one message")
    messages = tuple(
        _read_message(one, f"messages[{number}]", no_images) for number, one in enumerate(value)
    )
    check_order(messages)
    return messages


def _read_message(value: object, place: str, no_images: str | None) -> Message:
    if not isinstance(value, Mapping):
        raise wrong(place, "must be an object with role and content")
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise wrong(f"{place}.role", f"must be one of {', '.join(ROLES)}, not {shown(role)}")
    calls = _read_calls(value.get("tool_calls"), f"{place}.tool_calls")
    if calls and role != "assistant":
        raise wrong(f"{place}.tool_calls", f"only an assistant calls tools, not role {role}")
    parts = _read_content(value.get("content"), f"{place}.content", no_images)
    if not parts and not calls:
        raise wrong(f"{place}.content", "is missing; it must be text or an array of parts")
    if role not in SHOW_IMAGES and any(isinstance(part, Image) for part in parts):
        showing = " and ".join(SHOW_IMAGES)
        raise wrong(f"{place}.content", f"only roles {showing} show images, not role {role}")
    if sum(isinstance(part, Image) for part in parts) > MAX_IMAGES:
        raise wrong(f"{place}.content", f"has more than {MAX_IMAGES} images")
    return Message(
        ROLES[role],
        parts,
        next((text for key in REASONING if (text := _text(value, key, place))), ""),
        calls,
        _text(value, "tool_call_id", place),
        _text(value, "name", place) or _text(value, "tool_name", place),  # tool_name: Ollama's
    )


def _text(value: Mapping[str, object], key: str, place: str) -> str | None:
    text = value.get(key)
    if text is not None and not isinstance(text, str):
        raise wrong(f"{place}.{key}", f"must be text, not {shown(text)}")
    return text


def _read_content(value: object, place: str, no_images: str | None) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, Sequence):
        raise wrong(place, f"must be text or an array of parts, not {shown(value)}")
    return tuple(
        _read_part(one, f"{place}[{number}]", no_images) for number, one in enumerate(value)
    )


def _read_part(value: object, place: str, no_images: str | None) -> Part:
    if not isinstance(value, Mapping):
        raise wrong(place, 'must be an object such as {"type": "text", "text": "…"}')
    match value.get("type"):
        case "text":
            text = _text(value, "text", place)
            if text is None:
                raise wrong(f"{place}.text", "is missing")
            return Text(text)
        case "image_url" | "image" if no_images is not None:
            raise wrong(f"{place}.type", no_images)
        case "image_url":
            return _image_of_uri(value.get("image_url"), f"{place}.image_url")
        case "image":
            path = _text(value, "path", place)
            if not path:
                raise wrong(f"{place}.path", "is missing; it must name a JPEG, PNG or WebP file")
            return Image(b"", path, f"{place}.path")
        case other:
            known = "text" if no_images else "text, image_url and image"
            raise wrong(f"{place}.type", f"{shown(other)} is not read here, only {known}")


def _image_of_uri(value: object, place: str) -> Image:
    url = value.get("url") if isinstance(value, Mapping) else value
    place = f"{place}.url"
    if not isinstance(url, str) or not url.startswith("data:"):
        raise wrong(place, "must be a data: URI; nothing is fetched from elsewhere")
    start = _DATA_URI.match(url)
    if start is not None and is_refused(start[1]):
        raise wrong(place, f"is called {start[1][:100]}, and only {READ} pictures are read")
    if start is None or start[2] is None:
        raise wrong(place, "must be a data: URI in base64, such as data:image/jpeg;base64,…")
    return Image(_from_base64(url[start.end() :], place), place=place)


def _from_base64(text: str, place: str) -> bytes:
    try:
        return msgspec.convert("".join(text.split()), bytes)
    except ValueError:
        raise wrong(place, "is no base64") from None


def _read_calls(value: object, place: str) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise wrong(place, f"must be an array of calls, not {shown(value)}")
    return tuple(_read_call(one, f"{place}[{number}]") for number, one in enumerate(value))


def _read_call(value: object, place: str) -> ToolCall:
    function = value.get("function") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(function, Mapping):
        raise wrong(f"{place}.function", "must be an object with name and arguments")
    name = _text(function, "name", f"{place}.function")
    if not name:
        raise wrong(f"{place}.function.name", "is missing")
    arguments = function.get("arguments", "{}")
    if isinstance(arguments, Mapping):  # Ollama's form
        arguments = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(arguments, str) or not _is_object(arguments):
        raise wrong(f"{place}.function.arguments", "must be a JSON object, as text or as it is")
    return ToolCall(_text(value, "id", place) or "", name, arguments)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def check_order(messages: Conversation) -> None:
    """Check that each tool result has an earlier call, and that the last message needs an answer.

    Two messages of one role in a row are no error. :mod:`.arrange` joins them if a model needs it.

    :raises InvalidParams: a message is at a wrong place; the error names it.
    """
    known: set[str] = set()
    for number, message in enumerate(messages):
        if message.role != "tool":
            known = {call.id for call in message.tool_calls}
            continue
        place = f"messages[{number}]"
        if not known:
            raise wrong(f"{place}.role", "a tool result must follow the assistant's tool_calls")
        if message.tool_call_id is not None and message.tool_call_id not in known:
            call_id = shown(message.tool_call_id)
            raise wrong(f"{place}.tool_call_id", f"no call before it has the id {call_id}")
    last = messages[-1].role
    if last not in ("user", "tool"):
        raise wrong(
            f"messages[{len(messages) - 1}].role",
            f"the last message must be of role user or tool, not {last}: it is what is answered",
        )


def shown(value: object) -> str:
    """Return a value as JSON for an error message, cut to at most 40 characters."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:39]}…"
