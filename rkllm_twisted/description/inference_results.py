"""The results of the methods for chat, text, embeddings, scores and tokens."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.description.model import Item, ResultModel, Type


def _item(name: str, json: str, meaning: str, unit: str | None = None, **facts: str) -> Item:
    kind = Type(tuple(json.split(" or ")), **facts)  # type: ignore[arg-type]  # names only
    return Item(name, kind, meaning, unit)


_MODEL = _item("model", "string", "The name of the model.")
_TIER = _item(
    "tier",
    "string",
    "How the conversation was fed: tokens (a tokenizer and a template lie beside the model),"
    " template (a template or a known family) or runtime (only the model).",
)
_CHANGES = _item(
    "changes",
    "array",
    "What had to be changed so that the template can show it: tools_as_text, system_as_user,"
    " system_folded, neighbours_joined; tool_choice_not_forced.",
    items="string",
)
_DROPPED = _item(
    "dropped_messages", "integer", "With truncate: how many of the oldest were left out."
)
_USAGE = _item(
    "usage",
    "object",
    "prompt_tokens, cached_tokens (of these, already in the cache), completion_tokens,"
    " reasoning_tokens (of these), total_tokens, prefill_ms, generate_ms.",
)
#: By method.
INFERENCE_RESULTS: Mapping[str, ResultModel] = {
    "chat.complete": ResultModel(
        "With stream, partial results come first: content or reasoning_content, each a piece of"
        " text, or tool_call, with index and id and name at first, then pieces of arguments, or"
        " broken if what had begun is no call: forget it, content has its text.",
        items=(
            _MODEL,
            _item(
                "message",
                "object",
                "The answer, as the client sends it back with the next request: role, content,"
                " reasoning_content, tool_calls.",
            ),
            _item("finish_reason", "string", "stop, length, tool_calls or cancelled."),
            _TIER,
            _item(
                "flattened",
                "boolean",
                "Whether the earlier messages were read as plain text, in the tier runtime.",
            ),
            _CHANGES,
            _DROPPED,
            _USAGE,
        ),
    ),
}
