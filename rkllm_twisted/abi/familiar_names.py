"""Hints for names that users know from Ollama, llama.cpp and OpenAI's API.

The daemon puts the hints into its errors, which every client shows; the command uses the same
table. A hint completes the sentence "…; HINT.".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_CONTEXT = "the size of the context is max_context_len, a field of RKLLMParam (rkllm.init)"
_LIMIT = "the most tokens of an answer are max_new_tokens, a field of RKLLMParam (rkllm.init)"
_PROMPT = "the text of a prompt is prompt_input, a field of RKLLMInput"
_TEMPERATURE = (
    "the temperature is a field of RKLLMParam (rkllm.init), and from 1.3.0 on of"
    " sampling_params in RKLLMInferParam"
)
_SAMPLING = (
    "it is a field of RKLLMParam (rkllm.init), and from 1.3.0 on of sampling_params in"
    " RKLLMInferParam"
)
_STOP = (
    "chat.complete and text.complete take stop; a run has no stop words: end it with"
    " $/cancelRequest, or by leaving the loop"
)
_SYSTEM = "a system prompt is set by rkllm.set_chat_template"
_MODEL = "the model is loaded before, by model_path of rkllm.init, or by its name with models.load"
_RUN = "rkllm.run answers once and rkllm.run_async streams"
_CHAT = f"chat.complete answers a conversation; {_RUN}"
_LOAD = "rkllm.init loads a model, and models.load one by its name"
_UNLOAD = "rkllm.destroy unloads the model"
_STATUS = "server.status has the model, the queue and the run"
_MODELS = "models.list has the models in --model-dir, and server.status the loaded one"
_EMBEDDINGS = (
    "embeddings.create returns the vectors of texts; hidden states come from rkllm.run with mode"
    " RKLLM_INFER_GET_LAST_HIDDEN_LAYER"
)

#: A field or parameter -> the hint.
FIELDS: Mapping[str, str] = {
    "num_ctx": _CONTEXT,
    "n_ctx": _CONTEXT,
    "ctx_size": _CONTEXT,
    "context_length": _CONTEXT,
    "max_context_length": _CONTEXT,
    "num_predict": _LIMIT,
    "n_predict": _LIMIT,
    "max_tokens": _LIMIT,
    "max_completion_tokens": _LIMIT,
    "temp": _TEMPERATURE,
    "temperature": _TEMPERATURE,
    "top_k": _SAMPLING,
    "top_p": _SAMPLING,
    "repeat_penalty": _SAMPLING,
    "frequency_penalty": _SAMPLING,
    "presence_penalty": _SAMPLING,
    "stop": _STOP,
    "content": _PROMPT,
    "prompt": _PROMPT,
    "text": _PROMPT,
    "message": _PROMPT,
    "messages": "chat.complete takes messages; a run has one message: send prompt_input and role,"
    " and keep_history for more",
    "system": _SYSTEM,
    "template": _SYSTEM,
    "model": _MODEL,
    "path": _MODEL,
    "stream": "rkllm.run_async streams and rkllm.run does not",
    "seed": "RKLLM has no seed; top_k=1 makes the answers the same each time",
    "format": "RKLLM has no output format",
    "tools": "chat.complete takes tools; for runs rkllm.set_function_tools sets them",
    "think": "thinking is switched by enable_thinking, a field of RKLLMInput",
    "keep_alive": "a model stays loaded until rkllm.destroy or the next rkllm.init; with"
    " --keep-alive the daemon unloads one that no client uses",
}

_SAMPLING_NAMES = (
    "temp",
    "temperature",
    "top_k",
    "top_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "options",
)
_LIMIT_NAMES = ("num_predict", "n_predict", "max_tokens", "max_completion_tokens")

#: A parameter of similar methods elsewhere -> the parameter of ``chat.complete`` and its like.
PARAMETERS: Mapping[str, str] = {
    **dict.fromkeys(_SAMPLING_NAMES, "sampling"),
    **dict.fromkeys(_LIMIT_NAMES, "max_new_tokens"),
    "think": "enable_thinking",
    "functions": "tools",
    "format": "response_format",
    "content": "messages",
}

#: The last part of a method's name -> the hint.
METHODS: Mapping[str, str] = {
    "chat": _CHAT,
    "generate": _RUN,
    "completion": _CHAT,
    "completions": _CHAT,
    "complete": _CHAT,
    "infer": _RUN,
    "inference": _RUN,
    "load": _LOAD,
    "load_model": _LOAD,
    "unload": _UNLOAD,
    "stop": "rkllm.abort stops the run, and rkllm.destroy unloads the model",
    "ps": _STATUS,
    "list": _MODELS,
    "show": "models.show has a model in --model-dir, and server.status the loaded one",
    "tags": _MODELS,
    "models": _MODELS,
    "tokenize": "tokens.encode returns the tokens of a text",
    "detokenize": "tokens.decode returns the text of tokens",
    "embed": _EMBEDDINGS,
    "embedding": _EMBEDDINGS,
    "embeddings": _EMBEDDINGS,
    "rerank": "rerank.score compares documents with a query",
}

_MODEL_COMMANDS = (
    "`rkllm models` lists the models in the daemon's --model-dir; `rkllm status` shows the loaded"
    " model, and `rkllm init PATH` loads a file"
)

#: A command after ``rkllm`` -> the hint: what to do instead.
COMMANDS: Mapping[str, str] = {
    "load": "`rkllm init PATH` loads a model",
    "serve": "`twistd -n rkllm` starts the daemon",
    "server": "`twistd -n rkllm` starts the daemon",
    "start": "`twistd -n rkllm` starts the daemon",
    "list": _MODEL_COMMANDS,
    "ls": _MODEL_COMMANDS,
    "ps": "`rkllm status` shows the model and the queue",
    "show": "`rkllm models NAME` shows a model in the daemon's --model-dir; `rkllm status` shows"
    " the loaded model",
    "stop": "`rkllm abort` stops the run, and `rkllm destroy` unloads the model",
    "unload": "`rkllm destroy` unloads the model",
    "rm": "`rkllm destroy` unloads the model; its file is yours to remove",
    "pull": "download the model's file, then load it with `rkllm init PATH`",
    "generate": "`rkllm run PROMPT` runs the model",
    "ask": "`rkllm run PROMPT` runs the model",
    "version": "`rkllm --version` prints the version",
    "help": "`rkllm --help` lists the commands",
    "check": "`rkllm doctor` checks this machine",
}


def field_hint(name: str) -> str | None:
    """Return the hint for a field that does not exist."""
    return FIELDS.get(name)


def parameter_hint(name: str, known: Collection[str]) -> str | None:
    """Return the parameter to use in place of one that does not exist.

    :param known: the parameters of the method.
    """
    other = PARAMETERS.get(name)
    return other if other in known else None


def method_hint(name: str) -> str | None:
    """Return the hint for a method that does not exist, such as ``rkllm.chat``."""
    return METHODS.get(name.replace("/", ".").rpartition(".")[2].lower())


def command_hint(name: str) -> str | None:
    """Return the hint for a command that does not exist."""
    return COMMANDS.get(name)
