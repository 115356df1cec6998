"""The results of the daemon's own methods; neither plugins nor rkllm.h have most of them.

A test compares the table with a daemon's answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.abi.declarations import CType, Function, Parameter
from rkllm_twisted.abi.release import Release
from rkllm_twisted.description.inference_results import INFERENCE_RESULTS
from rkllm_twisted.description.model import Item, ResultModel, Type
from rkllm_twisted.description.structures import type_of
from rkllm_twisted.description.vision_results import VISION_RESULTS, VISION_STATUS


def _item(name: str, json: str, meaning: str, unit: str | None = None, **facts: str) -> Item:
    """Describe a part of a result; ``json`` names its JSON types."""
    kind = Type(tuple(json.split(" or ")), **facts)  # type: ignore[arg-type]  # names only
    return Item(name, kind, meaning, unit)


_DONE = (
    _item("success", "boolean", "true; what fails is answered with an error."),
    _item("status_code", "integer", "What the C function returned: 0."),
)
_RUN = (
    _item("_callback_state", "integer", "How far the run is.", of="LLMCallState"),
    _item(
        "results",
        "array",
        "With n_batch > 1 only: the result of each row; the fields beside it are the first row's.",
        items="RKLLMResult",
    ),
    _item(
        "_lines",
        "array",
        "The errors and warnings that the library printed during the run, in its last result only:"
        " that a history did not fit, for example.",
        items="string",
    ),
    _item(
        "_finish_reason",
        "string",
        "In the last result, if the model has not ended the answer: length (the run, the model or"
        " the context allows no more tokens) or cancelled (rkllm.abort).",
    ),
    _item(
        "_prompt_cache_saved",
        "boolean",
        "With save_prompt_cache, in the last result only: whether the runtime has written it.",
    ),
)
_SOMETIMES = frozenset({"results", "_lines", "_prompt_cache_saved", "_finish_reason"})
#: The result of any other method: a third party's may be anything.
UNKNOWN = ResultModel("What the plugin says.")
#: By method.
RESULTS: Mapping[str, ResultModel] = {
    **INFERENCE_RESULTS,
    **VISION_RESULTS,
    "rkllm.run": ResultModel(
        "The result that ends the run, with the text of all of them.",
        "RKLLMResult",
        _RUN,
        _SOMETIMES,
    ),
    "rkllm.run_async": ResultModel(
        "One result for each callback.", "RKLLMResult", _RUN, _SOMETIMES
    ),
    "rkllm.is_running": ResultModel(
        items=(*_DONE, _item("is_running", "boolean", "true while a run is under way."))
    ),
    "rkllm.pause": ResultModel(
        items=(*_DONE, _item("paused", "boolean", "Whether there was a run to pause."))
    ),
    "rkllm.get_constants": ResultModel(
        "An object for each enum, with the number of each name.", type=Type(("object",))
    ),
    "models.list": ResultModel(
        items=(
            _item(
                "models",
                "array",
                "By name: name, aliases, kind (chat, vision, embedding or rerank), capabilities,"
                " context (tokens, or null), size (bytes), modified (a time in UTC), digest (of the"
                " file, SHA-256; null until models.show was asked for it), loaded, and problems:"
                " why it cannot be loaded, a sentence each.",
                items="object",
            ),
            _item(
                "problems", "array", "What else is wrong there, a sentence each.", items="string"
            ),
        )
    ),
    "models.show": ResultModel(
        items=(
            _item("name", "string", "Of the model."),
            _item("aliases", "array", "Its other names.", items="string"),
            _item("kind", "string", "chat, vision, embedding or rerank."),
            _item(
                "capabilities",
                "array",
                "What it can do: completion, tools, thinking, vision, insert, embedding, rerank.",
                items="string",
            ),
            _item("context", "integer or null", "What it reads at once, if known.", "tokens"),
            _item("size", "integer", "Of its file.", "bytes"),
            _item("modified", "string", "When its file was written, in UTC."),
            _item("digest", "string or null", "SHA-256 of its file; null unless asked for."),
            _item("loaded", "boolean", "Whether it is the model that is loaded."),
            _item(
                "problems",
                "array",
                "Why it cannot be loaded, a sentence each.",
                items="string",
            ),
            _item("path", "string", "Of its file."),
            _item("format", "string", "What the file is by its bytes: rkllm, gguf, script …"),
            _item("toolkit", "string or null", "The rkllm-toolkit that made it, if it says so."),
            _item("architecture", "string or null", "By a GGUF file."),
            _item("parameters", "integer or null", "Numbers in a GGUF file."),
            _item("quantization", "string or null", "The type of most of these."),
            _item("family", "string or null", "How it is spoken to, if known by name."),
            _item("template", "string or null", "Its chat template (Jinja)."),
            _item("pooling", "string or null", "How hidden states become an embedding."),
            _item("end_tokens", "array", "Tokens that end an answer: ids or texts."),
            _item(
                "adapters",
                "array",
                "The RKLLMLoraAdapters that are loaded with it.",
                items="object",
            ),
            _item(
                "infill",
                "object or null",
                "The marks around a gap in a text, or their ids: prefix, suffix, middle.",
            ),
            _item("image", "object or null", "The texts around an image: start, content, end."),
            _item("files", "object", "The files beside it, by what they are for."),
            _item("param", "object", "The RKLLMParam that loads it."),
            _item("sampling", "object", "The sampling parameters of its runs."),
        )
    ),
    "models.load": ResultModel(
        items=(
            _item(
                "state",
                "string",
                "loaded. With stream, objects with nothing else come before: waiting (for the runs"
                " under way) and loading.",
            ),
            _item("model", "string", "The name of the model."),
            _item("param", "object", "The RKLLMParam that it was loaded with."),
            _item("lora_adapters", "array", "The names of its adapters.", items="string"),
            _item("load_time_s", "number", "How long loading took; 0: it was loaded before.", "s"),
        ),
        sometimes=frozenset({"model", "param", "lora_adapters", "load_time_s"}),
    ),
    "models.unload": ResultModel(
        items=(
            _item("model", "string or null", "The name that it had, unless loaded by its path."),
            _item("path", "string", "Of its file."),
        )
    ),
    "rpc.discover": ResultModel(
        "An OpenRPC document: the methods that there are with the loaded release of the runtime,"
        " plugins' included, their parameters, results and errors as JSON Schema, and examples.",
        type=Type(("object",)),
    ),
    "server.ping": ResultModel("The string pong.", type=Type(("string",))),
    "server.cancel": ResultModel(
        items=(_item("cancelled", "boolean", "Whether such a request was under way."),)
    ),
    "server.sequence": ResultModel(
        items=(
            _item(
                "results",
                "array",
                "The results of the calls, in order. What comes before is a partial result of a"
                " run: an RKLLMResult with _callback_state 0 or 1, and _call_index, the number of"
                " the call, from 0.",
                items="object",
            ),
        )
    ),
    "server.configure": ResultModel(
        items=(
            _item("stream", "string", "The form of streams that is now in force."),
            _item("floats", "string", "The form of float arrays that is now in force."),
        )
    ),
    "system.listMethods": ResultModel("The names, sorted.", type=Type(("array",), items="string")),
    "system.methodHelp": ResultModel("Text for people.", type=Type(("string",))),
    "system.methodSignature": ResultModel(
        "A list of signatures, each the type of the result and then those of the parameters:"
        " string, integer, number, boolean, array, object, null, or any. An empty string where"
        " nothing is known.",
        type=Type(("array", "string"), items="array"),
    ),
    "server.version": ResultModel(
        items=(
            _item("version", "string", "Of the daemon."),
            _item(
                "runtime",
                "object",
                "The runtime: library (its path), version (what it says of itself, or null), abi"
                " (the layout in use), recognised_by (how that was chosen), backend, limits (what"
                " each engine of an embedded runtime cannot do), host (what calls the library:"
                " c or python, its process; thread, the daemon), host_reason (why not c, or null).",
            ),
        )
    ),
    "server.status": ResultModel(
        items=(
            _item(
                "state",
                "string",
                "empty (no model), loading, loaded, running, stuck (in a call that cannot be"
                " ended), failed (no process for the runtime can be started) or closed.",
            ),
            _item("model_path", "string or null", "The model that is loaded."),
            _item("queue_length", "integer", "Calls that wait for their turn."),
            _item("runs", "integer", "Runs that have ended since the start, however they ended."),
            _item("tokens", "integer", "Partial results since the start.", "callbacks"),
            _item(
                "problem",
                "string or null",
                "How the runtime's process ended last, if that was a crash and no model has been"
                " loaded since.",
            ),
            _item(
                "running",
                "object or null",
                "The call that has its turn: function, and client, the number of its connection.",
            ),
            _item(
                "waiting",
                "array",
                "The first hundred clients that wait, in the order of their turns: client, the"
                " number of the connection, and calls, how many it waits for.",
            ),
            _item("waiting_clients", "integer", "All clients that wait."),
            _item(
                "history",
                "string",
                "shared: all clients continue one history; connection: each has its own.",
            ),
            _item(
                "max_context_len",
                "integer or null",
                "Of the loaded model: prompt, history and answer together.",
                "tokens",
            ),
            _item(
                "max_new_tokens",
                "integer or null",
                "Of an answer of the loaded model; -1: as many as the context holds.",
                "tokens",
            ),
            _item(
                "lora_adapters",
                "array",
                "The names of the adapters that the loaded model has.",
                items="string",
            ),
            _item("loads", "integer", "Models loaded since the start; each load changes it."),
            _item("load_s", "number", "Time that these loads have taken.", "s"),
            _item("crashes", "integer", "Times that the runtime's process has crashed."),
            _item(
                "model",
                "string or null",
                "The name of the loaded model; null if it was loaded by its path.",
            ),
            VISION_STATUS,
            _item("backend", "string", "npu, or what an embedded runtime calls itself."),
            _item("clients", "integer", "Connections that are open now."),
            _item("uptime_s", "number", "Time since the start.", "s"),
            _item("pid", "integer", "The daemon's process."),
            _item("client", "integer", "The number of the connection that asks."),
        )
    ),
}


def result_of_function(release: Release, function: Function) -> ResultModel:
    """Describe the result of a C function that is not in :data:`RESULTS`.

    It is the structure that the function returns, or success and what C writes to.
    """
    if function.returns.base in release.structs:
        return ResultModel(structure=function.returns.base)
    return ResultModel(items=(*_DONE, *(_output(release, p) for p in function.outputs)))


def _output(release: Release, parameter: Parameter) -> Item:
    kind = type_of(release, CType(parameter.type.base))
    if parameter.per_row:
        kind = Type(("array",), items=kind.json[0] if kind.of is None else kind.of)
    return Item(parameter.name, kind, parameter.about, parameter.unit)
