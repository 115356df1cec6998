"""Anthropic's messages to those of ``chat.complete``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.formats.picture_kind import READ, is_refused
from rkllm_twisted.http.translation.images import IN_ITSELF, base64_part, content_of
from rkllm_twisted.http.translation.reading import required_text, wrong

Message = dict[str, Any]
_ONLY_TEXT = "only text is read here"


def read_system(value: object) -> list[Message]:
    """Read ``system``: a text, or blocks of text.

    :raises HTTPError: it is something else.
    """
    text = _text(value, "system") if value is not None else ""
    return [{"role": "system", "content": text}] if text else []


def read_messages(value: object) -> list[Message]:
    """Read ``messages``.

    :raises HTTPError: a value is wrong; the error names its place.
    """
    if not isinstance(value, list) or not value:
        raise wrong("messages", "must be an array of at least one message")
    messages: list[Message] = []
    for number, one in enumerate(value):
        place = f"messages[{number}]"
        role = one.get("role") if isinstance(one, dict) else None
        content = one.get("content") if isinstance(one, dict) else None
        if role == "system":
            messages += [{"role": "system", "content": _text(content, f"{place}.content")}]
        elif role == "assistant":
            messages.append(_answer(_blocks(content, f"{place}.content"), f"{place}.content"))
        elif role == "user":
            known = {call["id"] for call in messages[-1].get("tool_calls", ())} if messages else ()
            messages += _question(_blocks(content, f"{place}.content"), f"{place}.content", known)
        else:
            raise wrong(f"{place}.role", f"must be user or assistant, not {shown(role)}")
    if messages[-1]["role"] == "assistant":
        raise wrong(
            f"messages[{len(value) - 1}].role",
            "the last message must be of role user; an answer cannot be begun for the model",
        )
    return messages


def _blocks(value: object, place: str) -> list[Mapping[str, Any]]:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list) or not all(isinstance(block, dict) for block in value):
        raise wrong(place, f"must be a text or an array of blocks, not {shown(value)}")
    return value


def _text(value: object, place: str) -> str:
    """Return the text of a text, or of blocks of text."""
    texts = []
    for number, block in enumerate(_blocks(value, place)):
        where = f"{place}[{number}]"
        if block.get("type") != "text":
            raise wrong(f"{where}.type", f"{shown(block.get('type'))} is not read; {_ONLY_TEXT}")
        texts.append(required_text(block, "text", where))
    return "".join(texts)


def _answer(blocks: list[Mapping[str, Any]], place: str) -> Message:
    """Return an earlier answer."""
    message: Message = {"role": "assistant", "content": ""}
    for number, block in enumerate(blocks):
        where = f"{place}[{number}]"
        match block.get("type"):
            case "text":
                message["content"] += required_text(block, "text", where)
            case "thinking":
                thought = required_text(block, "thinking", where)
                message["reasoning_content"] = message.get("reasoning_content", "") + thought
            case "redacted_thinking":
                pass  # nobody but its maker can read it
            case "tool_use":
                message.setdefault("tool_calls", []).append(_call(block, where))
            case other:
                raise wrong(f"{where}.type", f"{shown(other)} is no part of an answer here")
    return message


def _call(block: Mapping[str, Any], place: str) -> Message:
    given = block.get("input", {})
    if not isinstance(given, dict):
        raise wrong(f"{place}.input", f"must be an object, not {shown(given)}")
    function = {
        "name": required_text(block, "name", place),
        "arguments": json.dumps(given, ensure_ascii=False),
    }
    return {"id": required_text(block, "id", place), "type": "function", "function": function}


def _question(blocks: list[Mapping[str, Any]], place: str, known: Collection[str]) -> list[Message]:
    """Return a user's message: the results of tools first, as a message each, then the rest.

    :param known: the ids of the calls before it.
    """
    results: list[Message] = []
    parts: list[Message] = []
    for number, block in enumerate(blocks):
        where = f"{place}[{number}]"
        match block.get("type"):
            case "tool_result":
                results.append(_result(block, where, known))
            case _:
                parts.append(_shown(block, where))
    if parts or not results:
        return [*results, {"role": "user", "content": content_of(parts)}]
    return results


def _shown(block: Mapping[str, Any], place: str) -> Message:
    """Return the part for a text or an image."""
    match block.get("type"):
        case "text":
            return {"type": "text", "text": required_text(block, "text", place)}
        case "image":
            return _image(block, f"{place}.source")
        case other:
            raise wrong(f"{place}.type", f"{shown(other)} is not read, only text and image")


def _image(block: Mapping[str, Any], place: str) -> Message:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if not isinstance(source, dict) or kind != "base64":
        raise wrong(f"{place}.type", f'must be "base64", not {shown(kind)}; {IN_ITSELF}')
    kind = str(source.get("media_type", ""))
    if is_refused(kind):
        what = f"{shown(kind)} is not read, only {READ} pictures are"
        raise wrong(f"{place}.media_type", what)
    return base64_part(source.get("data"), f"{place}.data", kind)


def _result(block: Mapping[str, Any], place: str, known: Collection[str]) -> Message:
    call_id = required_text(block, "tool_use_id", place)
    if call_id not in known:
        raise wrong(f"{place}.tool_use_id", f"no tool_use just before it has the id {call_id[:40]}")
    content = block.get("content")
    blocks = [] if content is None else _blocks(content, f"{place}.content")
    parts = [_shown(one, f"{place}.content[{number}]") for number, one in enumerate(blocks)]
    if block.get("is_error"):
        parts = [{"type": "text", "text": "Error: "}, *parts]
    return {"role": "tool", "tool_call_id": call_id, "content": content_of(parts)}
