"""The parameters by name of the methods for chat and the like, as types for the clients.

``docs/methods.md`` describes them. A parameter that is None is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from rkllm_twisted.client_core.fields import RKLLMSamplingParam


class ConversationOptions(TypedDict, total=False):
    """What a conversation is rendered with."""

    model: str | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    enable_thinking: bool | None


class RenderOptions(ConversationOptions, total=False):
    """The parameters of ``chat.render``."""

    truncate: bool | None
    max_new_tokens: int | None


class ChatOptions(RenderOptions, total=False):
    """The parameters of ``chat.complete``."""

    response_format: Mapping[str, Any] | None
    sampling: RKLLMSamplingParam | None
    stop: str | Sequence[str] | None
    lora: str | None
    conversation: str | None


class TextOptions(TypedDict, total=False):
    """The parameters of ``text.complete``."""

    model: str | None
    suffix: str | None
    sampling: RKLLMSamplingParam | None
    max_new_tokens: int | None
    stop: str | Sequence[str] | None
    lora: str | None


class StructuredOptions(TypedDict, total=False):
    """The parameters of ``text.structured``."""

    schema: Mapping[str, Any] | None
    regex: str | None
    choices: Sequence[str] | None
    grammar: str | None
    model: str | None
    sampling: Mapping[str, Any] | None
    max_new_tokens: int | None
    stop: str | Sequence[str] | None
    lora: str | None


class EmbeddingOptions(TypedDict, total=False):
    """The parameters of ``embeddings.create``."""

    model: str | None
    dimensions: int | None
    encoding_format: Literal["float", "base64"] | None
    pooling: Literal["last", "mean", "cls"] | None


class ScoreOptions(TypedDict, total=False):
    """The parameters of ``rerank.score``."""

    model: str | None
    instruction: str | None
    top_n: int | None
    return_documents: bool | None


class CountOptions(TypedDict, total=False):
    """The parameters of ``tokens.count`` beside the text and the model."""

    messages: Sequence[Mapping[str, Any]] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    enable_thinking: bool | None
    marks: bool | None
