"""The results of the methods about the daemon: ``server.*``, ``system.*``, ``rpc.discover``."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.description.model import ResultModel, Type, item
from rkllm_twisted.description.vision_results import VISION_STATUS

#: By method.
SERVER_RESULTS: Mapping[str, ResultModel] = {
    "rpc.discover": ResultModel(
        "An OpenRPC document: the methods that there are with the loaded release of the runtime,"
        " plugins' included, their parameters, results and errors as JSON Schema, and examples.",
        type=Type(("object",)),
    ),
    "server.ping": ResultModel("The string pong.", type=Type(("string",))),
    "server.cancel": ResultModel(
        items=(item("cancelled", "boolean", "Whether such a request was under way."),)
    ),
    "server.sequence": ResultModel(
        items=(
            item(
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
            item("stream", "string", "The form of streams that is now in force."),
            item("floats", "string", "The form of float arrays that is now in force."),
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
            item("version", "string", "Of the daemon."),
            item(
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
            item(
                "state",
                "string",
                "empty (no model), loading, loaded, running, stuck (in a call that cannot be"
                " ended), failed (no process for the runtime can be started) or closed.",
            ),
            item("model_path", "string or null", "The model that is loaded."),
            item("queue_length", "integer", "Calls that wait for their turn."),
            item("runs", "integer", "Runs that have ended since the start, however they ended."),
            item("tokens", "integer", "Partial results since the start.", "callbacks"),
            item(
                "problem",
                "string or null",
                "How the runtime's process ended last, if that was a crash and no model has been"
                " loaded since.",
            ),
            item(
                "running",
                "object or null",
                "The call that has its turn: function, and client, the number of its connection.",
            ),
            item(
                "waiting",
                "array",
                "The first hundred clients that wait, in the order of their turns: client, the"
                " number of the connection, and calls, how many it waits for.",
            ),
            item("waiting_clients", "integer", "All clients that wait."),
            item(
                "history",
                "string",
                "shared: all clients continue one history; connection: each has its own.",
            ),
            item(
                "max_context_len",
                "integer or null",
                "Of the loaded model: prompt, history and answer together.",
                "tokens",
            ),
            item(
                "max_new_tokens",
                "integer or null",
                "Of an answer of the loaded model; -1: as many as the context holds.",
                "tokens",
            ),
            item(
                "lora_adapters",
                "array",
                "The names of the adapters that the loaded model has.",
                items="string",
            ),
            item("loads", "integer", "Models loaded since the start; each load changes it."),
            item("load_s", "number", "Time that these loads have taken.", "s"),
            item("crashes", "integer", "Times that the runtime's process has crashed."),
            item(
                "model",
                "string or null",
                "The name of the loaded model; null if it was loaded by its path.",
            ),
            VISION_STATUS,
            item("backend", "string", "npu, or what an embedded runtime calls itself."),
            item("clients", "integer", "Connections that are open now."),
            item("uptime_s", "number", "Time since the start.", "s"),
            item("pid", "integer", "The daemon's process."),
            item("client", "integer", "The number of the connection that asks."),
        )
    ),
}
