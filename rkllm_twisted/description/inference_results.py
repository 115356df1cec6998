"""The results of the methods for chat, text, embeddings, scores and tokens."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.description.model import Item, ResultModel, Type, item

_MODEL = item("model", "string", "The name of the model.")
_TIER = item(
    "tier",
    "string",
    "How the conversation was fed: tokens (a tokenizer and a template lie beside the model),"
    " template (a template or a known family) or runtime (only the model).",
)
_CHANGES = item(
    "changes",
    "array",
    "What had to be changed so that the template can show it: tools_as_text, system_as_user,"
    " system_folded, neighbours_joined; turns_as_text (what follows an image);"
    " tool_choice_not_forced; tool_marks_hidden (calls may have come as text: load the model"
    " by its name, or with skip_special_token = false).",
    items="string",
)
_DROPPED = item(
    "dropped_messages", "integer", "With truncate: how many of the oldest were left out."
)
_USAGE = item(
    "usage",
    "object",
    "prompt_tokens, cached_tokens (of these, already in the cache), completion_tokens,"
    " reasoning_tokens (of these), total_tokens, prefill_ms, generate_ms.",
)
_STRUCTURED = (
    Item("parsed", Type(()), "With a schema: the answer as JSON; null if it is not whole."),
    item("tokens", "integer", "The tokens of the answer.", "tokens"),
    item("runs", "integer", "The runs that it took."),
    item("forced", "integer", "Of the tokens, those that the form left no choice about."),
    item(
        "guaranteed",
        "boolean",
        "True: each token was chosen among those that the form allows. False: the runtime cannot"
        " do that, and the whole answer was checked when it was there.",
    ),
)
#: By method.
INFERENCE_RESULTS: Mapping[str, ResultModel] = {
    "chat.complete": ResultModel(
        "With stream, partial results come first: content or reasoning_content, each a piece of"
        " text, or tool_call, with index and id and name at first, then pieces of arguments, or"
        " broken if what had begun is no call: forget it, content has its text. With"
        " response_format, and if calls keep to the schemas of their tools, the result has"
        " structured, too: parsed, tokens, runs, forced and guaranteed, as of text.structured.",
        items=(
            _MODEL,
            item(
                "message",
                "object",
                "The answer, as the client sends it back with the next request: role, content,"
                " reasoning_content, tool_calls.",
            ),
            item("finish_reason", "string", "stop, length, tool_calls or cancelled."),
            _TIER,
            item(
                "flattened",
                "boolean",
                "Whether the earlier messages were read as plain text, in the tier runtime.",
            ),
            _CHANGES,
            _DROPPED,
            _USAGE,
        ),
    ),
    "chat.render": ResultModel(
        items=(
            _MODEL,
            _TIER,
            item("text", "string", "What the model reads, with its marks."),
            item("tokens", "array or null", "The same as tokens, in the tier tokens."),
            item("count", "integer or null", "How many these are.", "tokens"),
            _CHANGES,
            _DROPPED,
        )
    ),
    "text.complete": ResultModel(
        "With stream, partial results come first, each with a piece of the text.",
        items=(
            _MODEL,
            item("text", "string", "What the model has added."),
            item("finish_reason", "string", "stop, length or cancelled."),
            _USAGE,
        ),
    ),
    "text.structured": ResultModel(
        "With stream, partial results come first, each with a piece of the text.",
        items=(
            _MODEL,
            item("text", "string", "The answer."),
            item(
                "finish_reason",
                "string",
                "stop; or length: the limit came first, and the answer is not whole.",
            ),
            *_STRUCTURED,
            _USAGE,
        ),
    ),
    "embeddings.create": ResultModel(
        items=(
            _MODEL,
            item(
                "embeddings",
                "array",
                "One for each input, in order: a row of numbers, or base64. After server.configure,"
                " rows are one array in the form of the connection.",
            ),
            item("width", "integer", "The numbers of each."),
            item(
                "tier",
                "string",
                "How the texts were read: tokens (as they are), or runtime (in the runtime's own"
                " chat template, because there is no tokenizer.json beside the model).",
            ),
            item("usage", "object", "prompt_tokens and total_tokens."),
        )
    ),
    "rerank.score": ResultModel(
        items=(
            _MODEL,
            item(
                "results",
                "array",
                "The best first: index (of the document), score, and document if it was asked for.",
                items="object",
            ),
            item("usage", "object", "total_tokens."),
        )
    ),
    "tokens.encode": ResultModel(
        items=(
            _MODEL,
            item("tokens", "array", "The ids.", items="integer"),
            item("count", "integer", "How many these are.", "tokens"),
        )
    ),
    "tokens.decode": ResultModel(items=(_MODEL, item("text", "string", "The text."))),
    "tokens.count": ResultModel(
        items=(
            _MODEL,
            item("count", "integer", "Of the text, or of the conversation as it is read."),
            item("context", "integer", "The model's room.", "tokens"),
        )
    ),
}
