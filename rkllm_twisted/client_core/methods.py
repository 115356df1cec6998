"""One function for each method of the daemon: it returns the request, and how to read the answer.

Each client has a method for each of these functions, with the same name and parameters, and waits
in its own way. ``docs/methods.md`` has the daemon's parameters and errors in full.

Functions that read results are imported by the first call that needs one, because they import
attrs, which takes longer than the rest of a client.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rkllm_twisted.client_core.call import MethodCall, unchanged

if TYPE_CHECKING:
    from rkllm_twisted.client_core.results import DaemonStatus, DaemonVersion, Raw, Result

Path = str | os.PathLike[str]
#: A prompt, an RKLLMInput, or with ``n_batch`` above 1 a list of them.
Input = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


def _nothing(_: object) -> None:
    """Ignore a result that only says that the call succeeded."""


def _absolute(path: Path) -> str:
    """Make a path absolute, because the daemon has another working directory."""
    return os.path.abspath(os.fspath(path))  # noqa: PTH100 - pathlib would be a slower start


def _given(**params: Any) -> dict[str, Any]:
    """Leave out the parameters that are None."""
    return {name: value for name, value in params.items() if value is not None}


def _run_params(rkllm_input: Input, infer: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(rkllm_input, str):
        rkllm_input = {"prompt_input": rkllm_input}
    return _given(rkllm_input=rkllm_input, rkllm_infer_params=infer or None)


def init(model_path: Path, /, *, timeout: float | None = None, **param: Any) -> MethodCall[None]:
    """Load a model. A model that is loaded is destroyed first.

    :param model_path: a relative path is relative to the client's working directory.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param param: further fields of the RKLLMParam, such as ``max_context_len=4096, top_k=1``.
    :raises InvalidParams: if a field is wrong or the file cannot be read; it says which.
    :raises RuntimeRefused, RuntimeCrashed, TimedOut: if the runtime could not load it.
    """
    params = {"param": {"model_path": _absolute(model_path), **param}}
    return MethodCall("rkllm.init", params, _nothing, timeout)


def run(rkllm_input: Input, /, *, timeout: float | None = None, **infer: Any) -> MethodCall[Result]:
    """Run the model, and return one result.

    :param rkllm_input: a prompt, an RKLLMInput, or with ``n_batch`` above 1 a list of them.
    :param timeout: seconds to wait; with ``run_async``, for each result.
    :param infer: fields of the RKLLMInferParam, such as ``keep_history=1``.
    :returns: the result with all the text, and the figures in ``perf``.
    :raises NoModel, Busy, RuntimeRefused, RuntimeCrashed, TimedOut: see ``docs/methods.md``.
    """
    from rkllm_twisted.client_core.results import result_of  # noqa: PLC0415 - see the module

    return MethodCall("rkllm.run", _run_params(rkllm_input, infer), result_of, timeout)


def run_async(
    rkllm_input: Input, /, *, timeout: float | None = None, **infer: Any
) -> MethodCall[Result]:
    """Run the model, and return each result as it comes; the last one has the figures in ``perf``.

    Parameters and errors are those of ``run``. A run that fails half-way raises RuntimeRefused
    after the results so far. Leaving the loop early cancels the run.
    """
    from rkllm_twisted.client_core.results import chunk_of  # noqa: PLC0415 - see the module

    return MethodCall("rkllm.run_async", _run_params(rkllm_input, infer), chunk_of, timeout)


def abort() -> MethodCall[None]:
    """Stop the current run, whichever client has started it.

    :raises RuntimeRefused: if there is none.
    """
    return MethodCall("rkllm.abort", None, _nothing)


def pause() -> MethodCall[bool]:
    """Pause the current run; the next run continues it.

    :returns: True if there was one.
    """
    return MethodCall("rkllm.pause", None, lambda result: bool(result["paused"]))


def is_running() -> MethodCall[bool]:
    """Return True if a run is in progress."""
    return MethodCall("rkllm.is_running", None, lambda result: bool(result["is_running"]))


def destroy() -> MethodCall[None]:
    """Unload the model, after the runs that are queued already."""
    return MethodCall("rkllm.destroy", None, _nothing)


def load_lora(path: Path, name: str, scale: float = 1.0) -> MethodCall[None]:
    """Load a LoRA adapter; a run selects it by ``lora_params={"lora_adapter_name": name}``."""
    adapter = {
        "lora_adapter_path": _absolute(path),
        "lora_adapter_name": name,
        "scale": scale,
    }
    return MethodCall("rkllm.load_lora", {"lora_adapter": adapter}, _nothing)


def load_prompt_cache(path: Path) -> MethodCall[None]:
    """Load a prompt cache that a run with ``prompt_cache_params`` has saved."""
    return MethodCall("rkllm.load_prompt_cache", {"prompt_cache_path": _absolute(path)}, _nothing)


def release_prompt_cache() -> MethodCall[None]:
    """Release the prompt cache that was loaded."""
    return MethodCall("rkllm.release_prompt_cache", None, _nothing)


def clear_kv_cache(
    keep_system_prompt: bool = True,
    start_pos: Sequence[int] | None = None,
    end_pos: Sequence[int] | None = None,
) -> MethodCall[None]:
    """Clear the model's cache, which holds the conversation.

    :param keep_system_prompt: keep the system prompt in the cache.
    :param start_pos: with ``end_pos``, the range to clear, one position for each row; only while a
        run is paused.
    """
    params = _given(
        keep_system_prompt=int(keep_system_prompt), start_pos=start_pos, end_pos=end_pos
    )
    return MethodCall("rkllm.clear_kv_cache", params, _nothing)


def get_kv_cache_size() -> MethodCall[list[int]]:
    """Return how many tokens the cache holds, for each row of the batch."""
    return MethodCall("rkllm.get_kv_cache_size", None, lambda result: list(result["cache_sizes"]))


def set_chat_template(
    system_prompt: str | None = None,
    prompt_prefix: str | None = None,
    prompt_postfix: str | None = None,
) -> MethodCall[None]:
    """Set the text before the conversation, before each prompt and after each prompt."""
    params = _given(
        system_prompt=system_prompt, prompt_prefix=prompt_prefix, prompt_postfix=prompt_postfix
    )
    return MethodCall("rkllm.set_chat_template", params, _nothing)


def set_function_tools(
    system_prompt: str | None = None,
    tools: str | Sequence[Any] | Mapping[str, Any] | None = None,
    tool_response_str: str | None = None,
) -> MethodCall[None]:
    """Set the functions that the model may call.

    :param tools: the descriptions of the functions, as JSON text or as values.
    :param tool_response_str: the tag around an input with the role ``tool``.
    """
    params = _given(system_prompt=system_prompt, tools=tools, tool_response_str=tool_response_str)
    return MethodCall("rkllm.set_function_tools", params, _nothing)


def set_cross_attn_params(**params: Any) -> MethodCall[None]:
    """Set the output of the encoder: the fields of RKLLMCrossAttnParam."""
    return MethodCall("rkllm.set_cross_attn_params", {"cross_attn_params": params}, _nothing)


def create_default_param() -> MethodCall[Raw]:
    """Return the runtime's defaults, an RKLLMParam."""
    return MethodCall("rkllm.createDefaultParam", None, unchanged)


def get_constants() -> MethodCall[Mapping[str, Mapping[str, int]]]:
    """Return the enums of rkllm.h, as in the loaded release."""
    return MethodCall("rkllm.get_constants", None, unchanged)


def status() -> MethodCall[DaemonStatus]:
    """Return the state of the daemon, the queue and the model."""
    from rkllm_twisted.client_core.results import status_of  # noqa: PLC0415 - see the module

    return MethodCall("server.status", None, status_of)


def version() -> MethodCall[DaemonVersion]:
    """Return the version of the daemon and of the runtime."""
    from rkllm_twisted.client_core.results import version_of  # noqa: PLC0415 - see the module

    return MethodCall("server.version", None, version_of)


def ping() -> MethodCall[None]:
    """Check that the daemon answers."""
    return MethodCall("server.ping", None, _nothing)


def configure(floats: str) -> MethodCall[None]:
    """Choose the form of float arrays in the results of this connection.

    :param floats: ``json`` or ``base64``. The client itself chooses the form of streams.
    """
    return MethodCall("server.configure", {"floats": floats}, _nothing)
