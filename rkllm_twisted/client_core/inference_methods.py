"""The functions of :mod:`~rkllm_twisted.client_core.methods` for chat and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rkllm_twisted.client_core.call import MethodCall

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rkllm_twisted.client_core.inference_options import (
        ChatOptions,
        CountOptions,
        EmbeddingOptions,
        RenderOptions,
        ScoreOptions,
        StructuredOptions,
        TextOptions,
    )
    from rkllm_twisted.client_core.inference_results import (
        ChatPiece,
        ChatResult,
        EmbeddingVectors,
        RenderedChat,
        Score,
        StructuredText,
        TextResult,
    )

Messages = str | Sequence[Mapping[str, Any]]


def _chat_params(messages: Messages, options: Mapping[str, object]) -> dict[str, Any]:
    talk = [{"role": "user", "content": messages}] if isinstance(messages, str) else [*messages]
    return {"messages": talk, **_given(options)}


def _given(options: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def chat(
    messages: Messages, *, timeout: float | None = None, **options: Unpack[ChatOptions]
) -> MethodCall[ChatResult]:
    """Answer a conversation, and return the whole answer.

    :param messages: the conversation, in the form of OpenAI's API; a text is one user message.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``chat.complete``: ``model``, ``tools``, ``tool_choice``,
        ``stop``, ``max_new_tokens``, ``sampling``, ``enable_thinking``, ``truncate``, ``lora``,
        ``conversation``.
    :raises InvalidParams: if a parameter is wrong, or the conversation is too long; it says which.
    """
    from rkllm_twisted.client_core.inference_results import chat_result  # noqa: PLC0415 - see methods

    return MethodCall("chat.complete", _chat_params(messages, options), chat_result, timeout)


def chat_stream(
    messages: Messages, *, timeout: float | None = None, **options: Unpack[ChatOptions]
) -> MethodCall[ChatPiece]:
    """Answer a conversation, and return the pieces of the answer as they come.

    Parameters and errors are those of ``chat``. The last piece has the whole answer in ``result``.
    Leaving the loop early cancels the request.
    """
    from rkllm_twisted.client_core.inference_results import chat_piece  # noqa: PLC0415 - see methods

    params = {**_chat_params(messages, options), "stream": True}
    return MethodCall("chat.complete", params, chat_piece, timeout)


def render_chat(messages: Messages, **options: Unpack[RenderOptions]) -> MethodCall[RenderedChat]:
    """Return what the model would read of a conversation, with the marks.

    :param options: further parameters of ``chat.render``: ``model``, ``tools`` …
    """
    from rkllm_twisted.client_core.inference_results import rendered_chat  # noqa: PLC0415

    return MethodCall("chat.render", _chat_params(messages, options), rendered_chat)


def complete_text(
    prompt: str | Sequence[int], *, timeout: float | None = None, **options: Unpack[TextOptions]
) -> MethodCall[TextResult]:
    """Continue a text as it is, without a chat template.

    :param prompt: a text, or tokens.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``text.complete``: ``suffix``, ``stop``, ``model`` …
    """
    from rkllm_twisted.client_core.inference_results import text_result  # noqa: PLC0415

    params = {"prompt": prompt, **_given(options)}
    return MethodCall("text.complete", params, text_result, timeout)


def structured_text(
    prompt: str | Sequence[int],
    *,
    timeout: float | None = None,
    **options: Unpack[StructuredOptions],
) -> MethodCall[StructuredText]:
    """Continue a text with an answer that keeps to a form.

    :param prompt: a text, or tokens.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``text.structured``: one of ``schema``, ``regex``,
        ``choices`` and ``grammar``; ``sampling``, ``max_new_tokens``, ``model`` …
    :raises InvalidParams: if a parameter is wrong, or the form cannot be kept to; it says why.
    """
    from rkllm_twisted.client_core.inference_results import structured_text_result  # noqa: PLC0415

    params = {"prompt": prompt, **_given(options)}
    return MethodCall("text.structured", params, structured_text_result, timeout)


def create_embeddings(
    input: str | Sequence[Any],
    *,
    timeout: float | None = None,
    **options: Unpack[EmbeddingOptions],
) -> MethodCall[EmbeddingVectors]:
    """Make an embedding of each text, of length 1.

    :param input: a text, tokens, or a list of either.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``embeddings.create``: ``dimensions``, ``model`` …
    """
    from rkllm_twisted.client_core.inference_results import embeddings_result  # noqa: PLC0415

    params = {"input": input, **_given(options)}
    return MethodCall("embeddings.create", params, embeddings_result, timeout)


def score_documents(
    query: str,
    documents: Sequence[Any],
    *,
    timeout: float | None = None,
    **options: Unpack[ScoreOptions],
) -> MethodCall[list[Score]]:
    """Return how well each document answers a query, the best first.

    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``rerank.score``: ``top_n``, ``instruction`` …
    """
    from rkllm_twisted.client_core.inference_results import scores  # noqa: PLC0415

    params = {"query": query, "documents": [*documents], **_given(options)}
    return MethodCall("rerank.score", params, scores, timeout)


def encode_tokens(
    text: str, model: str | None = None, *, marks: bool = False
) -> MethodCall[list[int]]:
    """Return the tokens of a text.

    :param marks: read the texts of control tokens as such.
    """
    params = {"text": text, "marks": marks, **_given({"model": model})}
    return MethodCall("tokens.encode", params, lambda result: list(result["tokens"]))


def decode_tokens(tokens: Sequence[int], model: str | None = None) -> MethodCall[str]:
    """Return the text of tokens."""
    params = {"tokens": [*tokens], **_given({"model": model})}
    return MethodCall("tokens.decode", params, lambda result: str(result["text"]))


def count_tokens(
    text: str | None = None, model: str | None = None, **options: Unpack[CountOptions]
) -> MethodCall[int]:
    """Return how many tokens a text has, or a conversation (``messages``)."""
    params = _given({"text": text, "model": model, **options})
    return MethodCall("tokens.count", params, lambda result: int(result["count"]))
