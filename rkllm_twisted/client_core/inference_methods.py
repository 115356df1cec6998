"""The functions of :mod:`~rkllm_twisted.client_core.methods` for chat and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rkllm_twisted.client_core.call import MethodCall

if TYPE_CHECKING:
    from rkllm_twisted.client_core.inference_results import ChatPiece, ChatResult

Messages = str | Sequence[Mapping[str, Any]]


def _chat_params(messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
    talk = [{"role": "user", "content": messages}] if isinstance(messages, str) else [*messages]
    given = {name: value for name, value in options.items() if value is not None}
    return {"messages": talk, **given}


def chat(
    messages: Messages, *, timeout: float | None = None, **options: Any
) -> MethodCall[ChatResult]:
    """Answer a conversation, and return the whole answer.

    :param messages: the conversation, in the form of OpenAI's API; a text is one user message.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``chat.complete``: ``model``, ``tools``, ``tool_choice``,
        ``stop``, ``max_new_tokens``, ``sampling``, ``enable_thinking``, ``truncate``, ``lora`` …
    :raises InvalidParams: if a parameter is wrong, or the conversation is too long; it says which.
    """
    from rkllm_twisted.client_core.inference_results import chat_result  # noqa: PLC0415 - see methods

    return MethodCall("chat.complete", _chat_params(messages, options), chat_result, timeout)


def chat_stream(
    messages: Messages, *, timeout: float | None = None, **options: Any
) -> MethodCall[ChatPiece]:
    """Answer a conversation, and return the pieces of the answer as they come.

    Parameters and errors are those of ``chat``. The last piece has the whole answer in ``result``.
    Leaving the loop early cancels the request.
    """
    from rkllm_twisted.client_core.inference_results import chat_piece  # noqa: PLC0415 - see methods

    params = {**_chat_params(messages, options), "stream": True}
    return MethodCall("chat.complete", params, chat_piece, timeout)
