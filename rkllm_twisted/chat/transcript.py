"""A conversation as plain text, for models that are only used with the runtime's template."""

from __future__ import annotations

from rkllm_twisted.chat.messages import Conversation, Message

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Function"}


def transcript(messages: Conversation) -> str:
    """Return one text: the system texts, the earlier messages with speakers, the newest message."""
    system = [one.text for one in messages[:-1] if one.role == "system"]
    earlier = [_line(one) for one in messages[:-1] if one.role != "system"]
    parts = [*system]
    if earlier:
        parts.append("\n".join(["Conversation so far:", *earlier]))
    return "\n\n".join([*parts, messages[-1].text])


def _line(message: Message) -> str:
    calls = "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
    return f"{_SPEAKERS[message.role]}: {message.text}{calls}"
