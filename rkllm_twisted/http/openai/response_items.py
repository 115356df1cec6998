"""The items of a response's input to the messages of ``chat.complete``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.translation.images import IN_ITSELF, content_of, uri_part
from rkllm_twisted.http.translation.reading import required_text, wrong

Message = dict[str, Any]
#: Parts that are text -> the member with the text.
_TEXT_PARTS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
_ROLES = ("system", "developer", "user", "assistant")


def read_input(value: object, instructions: str | None) -> tuple[list[Message], list[str]]:
    """Read ``input``: a question, or the items of a conversation.

    :param instructions: the system message.
    :returns: the messages, and the names of the items that are left out.
    :raises HTTPError: a value is wrong; the error names its place.
    """
    reader = _ItemReader()
    if instructions:
        reader.messages.append({"role": "system", "content": instructions})
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise wrong("input", f"must be a text or an array of items, not {shown(value)}")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong(f"input[{number}]", f"must be an object, not {shown(item)}")
        reader.read(item, f"input[{number}]")
    last = reader.messages[-1]["role"] if reader.messages else "nothing"
    if last not in ("user", "tool"):
        raise wrong("input", f"must end with what is to be answered, not with {last}")
    return reader.messages, reader.ignored


@attrs.define
class _ItemReader:
    """Collects messages. Reasoning, text and calls of one answer are items of their own."""

    messages: list[Message] = attrs.field(factory=list)
    ignored: list[str] = attrs.field(factory=list)

    def read(self, item: Mapping[str, Any], place: str) -> None:
        match item.get("type", "message"):
            case "message":
                self._message(item, place)
            case "function_call":
                self._call(item, place)
            case "function_call_output":
                output = _question(item.get("output"), f"{place}.output")
                call_id = required_text(item, "call_id", place)
                if call_id not in self._known():
                    raise wrong(f"{place}.call_id", f"no call just before it is {call_id[:40]}")
                self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
            case "reasoning":
                thought = item.get("content") or item.get("summary")
                if thought:
                    answer = self._answer()
                    text = text_of(thought, f"{place}.content")
                    answer["reasoning_content"] = answer.get("reasoning_content", "") + text
            case "item_reference":
                what = "nothing is stored here; send the item itself"
                raise wrong(f"{place}.type", what)
            case other:
                self.ignored.append(f"{place} ({str(other)[:40]})")

    def _message(self, item: Mapping[str, Any], place: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise wrong(f"{place}.role", f"must be one of {', '.join(_ROLES)}, not {shown(role)}")
        where = f"{place}.content"
        if role == "assistant":
            answer = self._answer()
            answer["content"] += text_of(item.get("content"), where)
        elif role == "user":
            self.messages.append({"role": role, "content": _question(item.get("content"), where)})
        else:
            self.messages.append({"role": role, "content": text_of(item.get("content"), where)})

    def _call(self, item: Mapping[str, Any], place: str) -> None:
        names = ("call_id", "name", "arguments")
        call_id, name, arguments = (required_text(item, one, place) for one in names)
        function = {"name": name, "arguments": arguments or "{}"}
        call = {"id": call_id, "type": "function", "function": function}
        self._answer().setdefault("tool_calls", []).append(call)

    def _answer(self) -> Message:
        """Return the answer that the item is a part of."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self.messages.append({"role": "assistant", "content": ""})
        return self.messages[-1]

    def _known(self) -> set[str]:
        """Return the ids of the last answer's calls."""
        for message in reversed(self.messages):
            if message["role"] != "tool":
                return {call["id"] for call in message.get("tool_calls", ())}
        return set()


def text_of(value: object, place: str) -> str:
    """Return the text of a content: a text, or parts.

    :raises HTTPError: a part is no text.
    """
    if isinstance(value, str):
        return value
    return "".join(_text(part, where) for part, where in _parts(value, place))


def _question(value: object, place: str) -> str | list[Message]:
    """Return the content of a user's message, or of a tool's result: text and images."""
    if isinstance(value, str):
        return value
    return content_of([_text_or_image(part, where) for part, where in _parts(value, place)])


def _text_or_image(part: object, place: str) -> Message:
    if not isinstance(part, dict) or part.get("type") != "input_image":
        return {"type": "text", "text": _text(part, place)}
    if part.get("image_url") is None and part.get("file_id") is not None:
        raise wrong(f"{place}.file_id", f"nothing is stored here; {IN_ITSELF}")
    return uri_part(part.get("image_url"), f"{place}.image_url")


def _parts(value: object, place: str) -> Iterator[tuple[object, str]]:
    if not isinstance(value, list):
        raise wrong(place, f"must be a text or an array of parts, not {shown(value)}")
    return ((part, f"{place}[{number}]") for number, part in enumerate(value))


def _text(part: object, place: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else part
    member = _TEXT_PARTS.get(kind) if isinstance(kind, str) else None
    if member is None or not isinstance(part, dict):
        raise wrong(f"{place}.type", f"{shown(kind)} is not read here")
    return required_text(part, member, place)
