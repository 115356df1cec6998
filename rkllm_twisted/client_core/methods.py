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
    from typing_extensions import Unpack

    from rkllm_twisted.client_core.fields import (
        RKLLMCrossAttnParam,
        RKLLMInferParam,
        RKLLMInput,
        RKLLMLoraAdapter,
        RKLLMParam,
        RKLLMParamFields,
    )
    from rkllm_twisted.client_core.results import (
        DaemonStatus,
        DaemonVersion,
        FinishedResult,
        Raw,
        Result,
    )


def _nothing(_: object) -> None:
    """Ignore a result that only says that the call succeeded."""


def _absolute(path: str | os.PathLike[str]) -> str:
    """Make a path absolute, because the daemon has another working directory."""
    return os.path.abspath(os.fspath(path))  # noqa: PTH100 - pathlib would be a slower start


def _given(**params: Any) -> dict[str, Any]:
    """Leave out the parameters that are None."""
    return {name: value for name, value in params.items() if value is not None}


def _fields(whole: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a structure and single fields of it. ``keep_history=True`` is 1, as C has it."""
    given = _given(**{**(whole or {}), **fields})
    return {name: int(value) if isinstance(value, bool) else value for name, value in given.items()}


def _run_params(
    rkllm_input: object, whole: Mapping[str, Any] | None, infer: Mapping[str, Any]
) -> dict[str, Any]:
    asked: Any = {"prompt_input": rkllm_input} if isinstance(rkllm_input, str) else rkllm_input
    return _given(rkllm_input=asked, rkllm_infer_params=_fields(whole, infer) or None)


def init(
    model_path: str | os.PathLike[str] | RKLLMParam | Mapping[str, Any] | None = None,
    *,
    param: RKLLMParam | Mapping[str, Any] | None = None,
    timeout: float | None = None,
    **fields: Unpack[RKLLMParamFields],
) -> MethodCall[None]:
    """Load a model. A model that is loaded is destroyed first.

    :param model_path: a relative path is relative to the client's working directory.
    :param param: the whole RKLLMParam, instead of or beside single fields.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param fields: fields of the RKLLMParam, such as ``max_context_len=4096, top_k=1``.
    :raises InvalidParams: if a field is wrong or the file cannot be read; it says which.
    :raises RuntimeRefused, RuntimeCrashed, TimedOut: if the runtime could not load it.
    """
    given = _given(**{**(param or {}), **fields})
    if isinstance(model_path, Mapping):
        given = {**model_path, **given}
    elif model_path is not None:
        given["model_path"] = model_path
    if "model_path" not in given:
        raise TypeError('init needs the path of a model: init("model.rkllm").')
    params = {"param": {**given, "model_path": _absolute(given["model_path"])}}
    return MethodCall("rkllm.init", params, _nothing, timeout)


def run(
    rkllm_input: str | RKLLMInput | Mapping[str, Any] | Sequence[RKLLMInput | Mapping[str, Any]],
    rkllm_infer_params: RKLLMInferParam | Mapping[str, Any] | None = None,
    *,
    timeout: float | None = None,
    **fields: Unpack[RKLLMInferParam],
) -> MethodCall[FinishedResult]:
    """Run the model, and return one result.

    :param rkllm_input: a prompt, an RKLLMInput, or with ``n_batch`` above 1 a list of them.
    :param rkllm_infer_params: the whole RKLLMInferParam, instead of or beside single fields.
    :param timeout: seconds to wait; with ``run_async``, for each result.
    :param fields: fields of the RKLLMInferParam, such as ``keep_history=1``.
    :returns: the result with all the text, and the figures in ``perf``.
    :raises NoModel, Busy, RuntimeRefused, RuntimeCrashed, TimedOut: see ``docs/methods.md``.
    """
    from rkllm_twisted.client_core.results import finished_result  # noqa: PLC0415 - see the module

    params = _run_params(rkllm_input, rkllm_infer_params, fields)
    return MethodCall("rkllm.run", params, finished_result, timeout)


def run_async(
    rkllm_input: str | RKLLMInput | Mapping[str, Any] | Sequence[RKLLMInput | Mapping[str, Any]],
    rkllm_infer_params: RKLLMInferParam | Mapping[str, Any] | None = None,
    *,
    timeout: float | None = None,
    **fields: Unpack[RKLLMInferParam],
) -> MethodCall[Result]:
    """Run the model, and return each result as it comes; the last one has the figures in ``perf``.

    Parameters and errors are those of ``run``. A run that fails half-way raises RuntimeRefused
    after the results so far. Leaving the loop early cancels the run.
    """
    from rkllm_twisted.client_core.results import chunk_of  # noqa: PLC0415 - see the module

    params = _run_params(rkllm_input, rkllm_infer_params, fields)
    return MethodCall("rkllm.run_async", params, chunk_of, timeout)


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


def load_lora(
    lora_adapter_path: str | os.PathLike[str] | RKLLMLoraAdapter | Mapping[str, Any] | None = None,
    lora_adapter_name: str | None = None,
    scale: float = 1.0,
    *,
    lora_adapter: RKLLMLoraAdapter | Mapping[str, Any] | None = None,
) -> MethodCall[None]:
    """Load a LoRA adapter; a run selects it by ``lora_params={"lora_adapter_name": name}``.

    :param lora_adapter: the whole RKLLMLoraAdapter, instead of single fields.
    """
    whole: Any = lora_adapter_path if isinstance(lora_adapter_path, Mapping) else lora_adapter
    adapter = {"scale": scale, **_given(lora_adapter_name=lora_adapter_name), **(whole or {})}
    if lora_adapter_path is not None and not isinstance(lora_adapter_path, Mapping):
        adapter["lora_adapter_path"] = lora_adapter_path
    for name in ("lora_adapter_path", "lora_adapter_name"):
        if adapter.get(name) is None:
            raise TypeError(f"load_lora needs {name}.")
    adapter["lora_adapter_path"] = _absolute(adapter["lora_adapter_path"])
    return MethodCall("rkllm.load_lora", {"lora_adapter": adapter}, _nothing)


def load_prompt_cache(prompt_cache_path: str | os.PathLike[str]) -> MethodCall[None]:
    """Load a prompt cache that a run with ``prompt_cache_params`` has saved."""
    params = {"prompt_cache_path": _absolute(prompt_cache_path)}
    return MethodCall("rkllm.load_prompt_cache", params, _nothing)


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


def set_cross_attn_params(
    cross_attn_params: RKLLMCrossAttnParam | Mapping[str, Any] | None = None,
    **fields: Unpack[RKLLMCrossAttnParam],
) -> MethodCall[None]:
    """Set the output of the encoder.

    :param cross_attn_params: the whole RKLLMCrossAttnParam, instead of or beside single fields.
    :param fields: fields of the RKLLMCrossAttnParam.
    """
    params = {"cross_attn_params": _given(**{**(cross_attn_params or {}), **fields})}
    return MethodCall("rkllm.set_cross_attn_params", params, _nothing)


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
