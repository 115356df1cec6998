"""The values of a request for an answer: the request, its content, its prompt."""

from __future__ import annotations

import attrs

from rkllm_twisted.chat.messages import Conversation
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.segments import Pieces
from rkllm_twisted.chat.tools import NO_TOOLS, Tools


@attrs.frozen
class ChatRequest:
    """A client's request.

    :param thinking: True if the model must reason first; None leaves that to the model.
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
    :param prefix: the template's text before the newest message.
    :param postfix: the template's text after it, up to the beginning of the answer.
    :param messages: the conversation, the newest message last.
    :param text: the newest message.
    :param user_prefix: the template's text before a user message, independent of earlier messages.
    :param options: the other inputs of the earlier conversation's rendering: tools, thinking.
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
    """A request that is ready for a plan.

    :param changes: the changes of the conversation, in words for the client.
    :param dropped: the number of the oldest messages that were left out.
    :param forced: the forced beginning of the answer; feed it to the parser first.
    """

    content: TokenContent | SlotContent | PlainContent
    reading: Reading
    changes: tuple[str, ...] = ()
    dropped: int = 0
    forced: str = ""
