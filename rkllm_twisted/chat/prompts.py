"""The values of a request for an answer, and of the prompt that is made from it."""

from __future__ import annotations

import attrs

from rkllm_twisted.chat.messages import Conversation, Image
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.segments import Pieces
from rkllm_twisted.chat.tools import NO_TOOLS, Tools


@attrs.frozen
class ChatRequest:
    """A client's request.

    :param thinking: True if the model is to reason first, False if not; None if the model decides.
    :param truncate: True to leave out the oldest turns if the conversation is too long.
    :param adapter: the name of a LoRA adapter, or None.
    :param at_once: True if the answer itself has to begin at the end of the prompt, also if the
        template has begun the reasoning there.
    :param image_tokens: how many tokens the rows of an image are.
    """

    messages: Conversation
    tools: Tools = NO_TOOLS
    stops: tuple[str, ...] = ()
    thinking: bool | None = None
    max_new_tokens: int | None = None
    truncate: bool = False
    adapter: str | None = None
    at_once: bool = False
    image_tokens: int = 0


@attrs.frozen
class TokenContent:
    """The whole prompt as tokens."""

    pieces: Pieces
    tokens: tuple[int, ...]


@attrs.frozen
class SlotContent:
    """The earlier conversation for the system slot of ``rkllm_set_chat_template``.

    :param system: the rendered earlier conversation.
    :param prefix: the template's text before the newest message.
    :param postfix: the template's text behind the newest message. It ends with the beginning of
        the answer.
    :param messages: the whole conversation, the newest message last.
    :param text: the text of the newest message.
    :param user_prefix: the template's text before any user's message; empty if this text depends
        on the earlier messages.
    :param options: the other values that the rendering depends on, tools and thinking, as JSON.
    """

    system: str
    prefix: str
    postfix: str
    messages: Conversation
    text: str
    user_prefix: str
    options: str = ""

    @property
    def whole(self) -> str:
        """All that the model reads, as one text."""
        return f"{self.system}{self.prefix}{self.text}{self.postfix}"


@attrs.frozen
class PlainContent:
    """The conversation for the runtime's own template.

    :param messages: the whole conversation, the newest message last.
    :param text: the text of the newest message.
    :param flat: the whole conversation as plain text, the newest message last.
    :param thinking: see :class:`ChatRequest`.
    """

    messages: Conversation
    text: str
    flat: str
    thinking: bool | None

    @property
    def whole(self) -> str:
        """All that the model reads if the cache holds nothing."""
        return self.flat


@attrs.frozen
class Prompt:
    """The prompt for a request, ready for :func:`.plan.plan`.

    :param content: the prompt in the form that the tier needs.
    :param reading: the rules for reading the answer.
    :param changes: the names of the changes to the conversation, for the client.
    :param dropped: how many of the oldest messages were left out.
    :param forced: the beginning of the answer, if the prompt already holds it. Feed this text to
        the parser first.
    :param images: the images whose rows the model reads, in order. Tags in the prompt's text show
        their places.
    """

    content: TokenContent | SlotContent | PlainContent
    reading: Reading
    changes: tuple[str, ...] = ()
    dropped: int = 0
    forced: str = ""
    images: tuple[Image, ...] = ()
