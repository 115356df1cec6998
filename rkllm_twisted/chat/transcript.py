"""Writes a conversation as plain text, for models with no known template but the runtime's."""

from __future__ import annotations

from rkllm_twisted.chat.messages import Conversation, Message

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Function"}


def transcript(messages: Conversation) -> str:
    """Return the system text, the earlier messages with their speakers, and the newest message."""
    system = [one.text for one in messages[:-1] if one.role == "system"]
    earlier = [_line(one) for one in messages[:-1] if one.role != "system"]
    parts = [*system]
    if earlier:
        parts.append("\n".join(["Conversation so far:", *earlier]))
    return "\n\n".join([*parts, messages[-1].text])


def _line(message: Message) -> str:
    calls = "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
    return f"{_SPEAKERS[message.role]}: {message.text}{calls}"
