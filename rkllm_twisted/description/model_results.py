"""The results of the methods ``models.*``."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.description.model import ResultModel, item

#: By method.
MODEL_RESULTS: Mapping[str, ResultModel] = {
    "models.list": ResultModel(
        items=(
            item(
                "models",
                "array",
                "By name: name, aliases, kind (chat, vision, embedding or rerank), capabilities,"
                " context (tokens, or null), size (bytes), modified (a time in UTC), digest (of the"
                " file, SHA-256; null until models.show was asked for it), loaded, and problems:"
                " why it cannot be loaded, a sentence each.",
                items="object",
            ),
            item("problems", "array", "What else is wrong there, a sentence each.", items="string"),
        )
    ),
    "models.show": ResultModel(
        items=(
            item("name", "string", "Of the model."),
            item("aliases", "array", "Its other names.", items="string"),
            item("kind", "string", "chat, vision, embedding or rerank."),
            item(
                "capabilities",
                "array",
                "What it can do: completion, tools, thinking, vision, insert, embedding, rerank.",
                items="string",
            ),
            item("context", "integer or null", "What it reads at once, if known.", "tokens"),
            item("size", "integer", "Of its file.", "bytes"),
            item("modified", "string", "When its file was written, in UTC."),
            item("digest", "string or null", "SHA-256 of its file; null unless asked for."),
            item("loaded", "boolean", "Whether it is the model that is loaded."),
            item(
                "problems",
                "array",
                "Why it cannot be loaded, a sentence each.",
                items="string",
            ),
            item("path", "string", "Of its file."),
            item("format", "string", "What the file is by its bytes: rkllm, gguf, script …"),
            item("toolkit", "string or null", "The rkllm-toolkit that made it, if it says so."),
            item("architecture", "string or null", "By a GGUF file."),
            item("parameters", "integer or null", "Numbers in a GGUF file."),
            item("quantization", "string or null", "The type of most of these."),
            item("family", "string or null", "How it is spoken to, if known by name."),
            item("template", "string or null", "Its chat template (Jinja)."),
            item("pooling", "string or null", "How hidden states become an embedding."),
            item("end_tokens", "array", "Tokens that end an answer: ids or texts."),
            item(
                "adapters",
                "array",
                "The RKLLMLoraAdapters that are loaded with it.",
                items="object",
            ),
            item(
                "infill",
                "object or null",
                "The marks around a gap in a text, or their ids: prefix, suffix, middle.",
            ),
            item("image", "object or null", "The texts around an image: start, content, end."),
            item("files", "object", "The files beside it, by what they are for."),
            item("param", "object", "The RKLLMParam that loads it."),
            item("sampling", "object", "The sampling parameters of its runs."),
        )
    ),
    "models.load": ResultModel(
        items=(
            item(
                "state",
                "string",
                "loaded. With stream, objects with nothing else come before: waiting (for the runs"
                " under way) and loading.",
            ),
            item("model", "string", "The name of the model."),
            item("param", "object", "The RKLLMParam that it was loaded with."),
            item("lora_adapters", "array", "The names of its adapters.", items="string"),
            item("load_time_s", "number", "How long loading took; 0: it was loaded before.", "s"),
        ),
        sometimes=frozenset({"model", "param", "lora_adapters", "load_time_s"}),
    ),
    "models.unload": ResultModel(
        items=(
            item("model", "string or null", "The name that it had, unless loaded by its path."),
            item("path", "string", "Of its file."),
        )
    ),
}
