"""Images in a conversation's text: the tags that the runtime puts their rows in place of.

Tags are in the prompt of a run only, not in the slots of ``rkllm_set_chat_template``: the runtime
looks for them there. So the prompt begins with the first message that shows an image, and what
follows it is plain text.
"""

from __future__ import annotations

import attrs

from rkllm_twisted.chat.messages import Conversation, Image, Message, Text, say
from rkllm_twisted.chat.segments import broken_up
from rkllm_twisted.chat.transcript import transcript

#: Stands for an image in a prompt (RKLLMMultiModalInput of rkllm.h; Rockchip's demonstration).
TAG = "<image>"
#: The name of the change: the messages from the first image on are read as plain text.
TURNS_AS_TEXT = "turns_as_text"


@attrs.frozen
class Tagged:
    """A conversation of texts only, and the images of its tags in order.

    :param changes: the names of the changes, for the client.
    """

    messages: Conversation
    images: tuple[Image, ...]
    changes: tuple[str, ...] = ()


def with_tags(messages: Conversation) -> Tagged:
    """Return a conversation with tags for its images.

    What a message writes itself is never read as a tag.
    """
    images = tuple(image for message in messages for image in message.images)
    tagged = tuple(map(_tagged, messages))
    first = next((at for at, one in enumerate(messages) if one.images), len(messages))
    if first >= len(messages) - 1:
        return Tagged(tagged, images)
    while (
        first and messages[first].role == "tool"
    ):  # a template may want the results behind their calls
        first -= 1
    rest = say("user", transcript(tagged[first:]))
    return Tagged((*tagged[:first], rest), images, (TURNS_AS_TEXT,))


def _tagged(message: Message) -> Message:
    parts = tuple(
        Text(TAG) if isinstance(part, Image) else Text(broken_up(part.text, (TAG,)))
        for part in message.parts
    )
    return attrs.evolve(message, parts=parts)
