"""A request for an answer, and what becomes of it: values."""

from __future__ import annotations

import attrs

from rkllm_twisted.chat.messages import Conversation
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.segments import Pieces
from rkllm_twisted.chat.tools import NO_TOOLS, Tools


@attrs.frozen
class ChatRequest:
    """What a client asks for.

    :param thinking: whether the model is to reason first; None leaves that to the model.
    :param truncate: True to leave out the oldest turns if the conversation is too long.
    """

    messages: Conversation
    tools: Tools = NO_TOOLS
    stops: tuple[str, ...] = ()
    thinking: bool | None = None
    max_new_tokens: int | None = None
    truncate: bool = False
    adapter: str | None = None


@attrs.frozen
class TokenContent:
    """The whole prompt as tokens."""

    pieces: Pieces
    tokens: tuple[int, ...]


@attrs.frozen
class SlotContent:
    """The earlier conversation for the system slot of ``rkllm_set_chat_template``.

    :param system: the earlier conversation, rendered.
    :param prefix: what the template puts before the newest message.
    :param postfix: what it puts behind it, up to the beginning of the answer.
    :param messages: the conversation, the newest message last.
    :param text: the newest message.
    :param user_prefix: what the template puts before a user's message, whatever came before.
    :param options: what else the earlier conversation was rendered with: tools, thinking.
    """

    system: str
    prefix: str
    postfix: str
    messages: Conversation
    text: str
    user_prefix: str
    options: str = ""


@attrs.frozen
class PlainContent:
    """The conversation for the runtime's own template.

    :param messages: the conversation, the newest message last.
    :param text: the newest message.
    :param flat: the newest message after all the earlier ones, as plain text.
    """

    messages: Conversation
    text: str
    flat: str
    thinking: bool | None


@attrs.frozen
class Prompt:
    """A request, ready to be planned.

    :param changes: how the conversation had to be rearranged, in words for the client.
    :param dropped: how many of the oldest messages were left out.
    :param forced: what the answer is made to begin with; feed it to the parser first.
    """

    content: TokenContent | SlotContent | PlainContent
    reading: Reading
    changes: tuple[str, ...] = ()
    dropped: int = 0
    forced: str = ""
