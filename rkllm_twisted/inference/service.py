"""Serves chat, text, embeddings, scores and tokens to the methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from rkllm_twisted.inference import (
    chat_requests,
    embedding_requests,
    rerank_requests,
    structured_requests,
    text_requests,
    token_requests,
)
from rkllm_twisted.inference.model_turns import ModelTurns
from rkllm_twisted.inference.replies import Reply


class Inference:
    """The methods' work, by method.

    :param turns: makes turns of the NPU.
    """

    def __init__(self, turns: ModelTurns) -> None:
        self._turns = turns

    def answer(
        self, method: str, params: Any, client: Hashable, stream: Callable[[Reply], object]
    ) -> Awaitable[Reply]:
        """Answer a request.

        :param method: a key of :data:`ANSWERS`.
        :param params: its parameters.
        :param stream: called with each partial result.
        :returns: the method's result.
        :raises RPCError: a parameter is wrong, or the NPU failed.
        """
        return ANSWERS[method](self._turns, params, client, stream)


#: By method.
ANSWERS: dict[str, Callable[..., Awaitable[Reply]]] = {
    "chat.complete": structured_requests.chat,
    "chat.render": chat_requests.render,
    "text.complete": text_requests.complete,
    "text.structured": structured_requests.complete,
    "embeddings.create": embedding_requests.create,
    "rerank.score": rerank_requests.score,
    "tokens.encode": token_requests.encode,
    "tokens.decode": token_requests.decode,
    "tokens.count": token_requests.count,
}
