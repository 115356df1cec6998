"""Typed results of the methods for chat and the like. Each keeps the daemon's own in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.client_core.results import Raw, known


@attrs.frozen
class TokenUsage:
    """The tokens and times of an answer.

    :param prompt_tokens: of the prompt, with those in the cache.
    :param cached_tokens: of these, those that were in the cache and were not read again.
    :param reasoning_tokens: of the answer's tokens, those that were reasoning.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0
    prefill_ms: float = 0.0
    generate_ms: float = 0.0


@attrs.frozen
class ChatResult:
    """The result of ``chat.complete``.

    :param message: the answer as a message, to be sent back with the next request.
    :param finish_reason: ``stop``, ``length``, ``tool_calls`` or ``cancelled``.
    :param tier: how the conversation was fed: ``tokens``, ``template`` or ``runtime``.
    :param flattened: True if earlier messages were read as plain text.
    :param changes: what had to be changed for the template.
    :param dropped_messages: how many of the oldest messages were left out.
    """

    message: Mapping[str, Any]
    model: str = ""
    finish_reason: str = "stop"
    tier: str = "runtime"
    flattened: bool = False
    changes: Sequence[str] = ()
    dropped_messages: int = 0
    usage: TokenUsage = attrs.field(factory=TokenUsage)
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)

    @property
    def text(self) -> str:
        """The text of the answer; empty if it is tool calls only."""
        return self.message.get("content") or ""

    @property
    def tool_calls(self) -> Sequence[Mapping[str, Any]]:
        """The calls that the model asks for."""
        return self.message.get("tool_calls") or ()


@attrs.frozen
class ChatPiece:
    """A piece of an answer that is streamed.

    :param text: the text that it adds to the answer.
    :param reasoning: the text that it adds to the reasoning.
    :param tool_call: a part of a tool call, see ``docs/chat.md``.
    :param result: the whole answer, in the last piece only.
    """

    text: str = ""
    reasoning: str = ""
    tool_call: Mapping[str, Any] | None = None
    result: ChatResult | None = None
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)


def chat_result(raw: Raw) -> ChatResult:
    """Read the result of ``chat.complete``."""
    usage = known(TokenUsage, raw["usage"])
    return attrs.evolve(known(ChatResult, raw), usage=usage, raw=raw)


def chat_piece(raw: Raw) -> ChatPiece:
    """Read a partial result of ``chat.complete``, or the last one."""
    if "finish_reason" in raw:
        return ChatPiece(result=chat_result(raw), raw=raw)
    text, reasoning = raw.get("content", ""), raw.get("reasoning_content", "")
    return ChatPiece(text, reasoning, raw.get("tool_call"), raw=raw)


@attrs.frozen
class RenderedChat:
    """The result of ``chat.render``: what the model would read.

    :param tokens: the same as tokens; None unless the tier is ``tokens``.
    """

    text: str
    model: str = ""
    tier: str = "runtime"
    tokens: Sequence[int] | None = None
    count: int | None = None
    changes: Sequence[str] = ()
    dropped_messages: int = 0
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)


@attrs.frozen
class TextResult:
    """The result of ``text.complete``.

    :param finish_reason: ``stop``, ``length`` or ``cancelled``.
    """

    text: str
    model: str = ""
    finish_reason: str = "stop"
    usage: TokenUsage = attrs.field(factory=TokenUsage)
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)


@attrs.frozen
class StructuredText:
    """The result of ``text.structured``.

    :param finish_reason: ``stop`` or ``length``.
    :param parsed: with a schema: the answer as a Python value; None if it is not whole.
    :param tokens: how many tokens the answer has.
    :param runs: how many runs it took.
    :param forced: how many tokens the form left no choice about.
    :param guaranteed: False if the answer was checked when it was there.
    """

    text: str
    model: str = ""
    finish_reason: str = "stop"
    parsed: Any = None
    tokens: int = 0
    runs: int = 0
    forced: int = 0
    guaranteed: bool = True
    usage: TokenUsage = attrs.field(factory=TokenUsage)
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)


@attrs.frozen
class EmbeddingVectors:
    """The result of ``embeddings.create``.

    :param embeddings: one for each input, in order.
    :param width: the numbers of each.
    :param tier: how the texts were read: ``tokens``, or ``runtime`` inside its chat template.
    """

    embeddings: Any
    model: str = ""
    width: int = 0
    tier: str = "tokens"
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)


@attrs.frozen
class Score:
    """The score of a document: how well it answers the query.

    :param index: the document's index in the request.
    :param document: its text, if it was asked for.
    """

    index: int
    score: float
    document: str | None = None


def rendered_chat(raw: Raw) -> RenderedChat:
    """Read the result of ``chat.render``."""
    return attrs.evolve(known(RenderedChat, raw), raw=raw)


def text_result(raw: Raw) -> TextResult:
    """Read the result of ``text.complete``."""
    return attrs.evolve(known(TextResult, raw), usage=known(TokenUsage, raw["usage"]), raw=raw)


def structured_text_result(raw: Raw) -> StructuredText:
    """Read the result of ``text.structured``."""
    usage = known(TokenUsage, raw["usage"])
    return attrs.evolve(known(StructuredText, raw), usage=usage, raw=raw)


def embeddings_result(raw: Raw) -> EmbeddingVectors:
    """Read the result of ``embeddings.create``."""
    return attrs.evolve(known(EmbeddingVectors, raw), raw=raw)


def scores(raw: Raw) -> list[Score]:
    """Read the result of ``rerank.score``, the best first."""
    return [known(Score, one) for one in raw["results"]]
