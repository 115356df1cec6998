"""The daemon's own methods as Python functions: what each sends, and what its answer becomes.

The clients have a method for each of these, of the same name and with the same parameters; how it
waits is theirs. Parameters and errors of the methods themselves stand in ``docs/methods.md``.

What reads a result is imported by the first call that has one: it needs attrs, which takes longer
than a whole client without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from rkllm_twisted.client_core.results import Raw, Result, Status, Version

T = TypeVar("T")
Path = str | os.PathLike[str]
#: A prompt, an RKLLMInput, or with ``n_batch`` above 1 a list of them.
Input = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Call(Generic[T]):
    """A request, and how to read its answer.

    :param read: makes the value of the result, and of each partial one.
    :param timeout: seconds to wait for each of them; None: what the client is set to.
    """

    def __init__(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        read: Callable[[Any], T],
        timeout: float | None = None,
    ) -> None:
        self.method: Final = method
        self.params: Final = params
        self.read: Final = read
        self.timeout: Final = timeout


def _nothing(_: object) -> None:
    """Success; everything else is an error."""


def _whole(result: Any) -> Any:
    return result


def _absolute(path: Path) -> str:
    """Name a file as the daemon can find it, whose working directory is another."""
    return os.path.abspath(os.fspath(path))  # noqa: PTH100 - pathlib would be a slower start


def _given(**params: Any) -> dict[str, Any]:
    """Leave out what was left out."""
    return {name: value for name, value in params.items() if value is not None}


def _run_params(rkllm_input: Input, infer: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(rkllm_input, str):
        rkllm_input = {"prompt_input": rkllm_input}
    return _given(rkllm_input=rkllm_input, rkllm_infer_params=infer or None)


def init(model_path: Path, /, *, timeout: float | None = None, **param: Any) -> Call[None]:
    """Load a model; one that is loaded is destroyed first.

    :param model_path: as the client sees it: a relative path is the client's.
    :param timeout: seconds to wait for it; what the client is set to where left out.
    :param param: further fields of the RKLLMParam, such as ``max_context_len=4096, top_k=1``.
    :raises InvalidParams: naming the field, or the file that cannot be read.
    :raises RuntimeRefused, RuntimeCrashed, TimedOut: the runtime could not load it.
    """
    params = {"param": {"model_path": _absolute(model_path), **param}}
    return Call("rkllm.init", params, _nothing, timeout)


def run(rkllm_input: Input, /, *, timeout: float | None = None, **infer: Any) -> Call[Result]:
    """Run the model, and answer once.

    :param rkllm_input: a prompt, an RKLLMInput, or with ``n_batch`` above 1 a list of them.
    :param timeout: seconds to wait; with ``run_async``, for each result.
    :param infer: fields of the RKLLMInferParam, such as ``keep_history=1``.
    :returns: the result with all the text, and the figures in ``perf``.
    :raises NoModel, Busy, RuntimeRefused, RuntimeCrashed, TimedOut: see ``docs/methods.md``.
    """
    from rkllm_twisted.client_core.results import result_of  # noqa: PLC0415 - see the module

    return Call("rkllm.run", _run_params(rkllm_input, infer), result_of, timeout)


def run_async(rkllm_input: Input, /, *, timeout: float | None = None, **infer: Any) -> Call[Result]:
    """Run the model, and give each result as it comes; the last one has the figures in ``perf``.

    Parameters and errors are those of ``run``. A run that fails half-way raises RuntimeRefused
    after what had come. Who leaves the loop early cancels the run.
    """
    from rkllm_twisted.client_core.results import chunk_of  # noqa: PLC0415 - see the module

    return Call("rkllm.run_async", _run_params(rkllm_input, infer), chunk_of, timeout)


def abort() -> Call[None]:
    """Stop the run under way, whoever asked for it.

    :raises RuntimeRefused: there is none.
    """
    return Call("rkllm.abort", None, _nothing)


def pause() -> Call[bool]:
    """Pause the run under way; the next run goes on where it was.

    :returns: whether there was one.
    """
    return Call("rkllm.pause", None, lambda result: bool(result["paused"]))


def is_running() -> Call[bool]:
    """Tell whether a run is under way."""
    return Call("rkllm.is_running", None, lambda result: bool(result["is_running"]))


def destroy() -> Call[None]:
    """Unload the model, once the runs that were queued before have ended."""
    return Call("rkllm.destroy", None, _nothing)


def load_lora(path: Path, name: str, scale: float = 1.0) -> Call[None]:
    """Load a LoRA adapter; a run chooses it by ``lora_params={"lora_adapter_name": name}``."""
    adapter = {
        "lora_adapter_path": _absolute(path),
        "lora_adapter_name": name,
        "scale": scale,
    }
    return Call("rkllm.load_lora", {"lora_adapter": adapter}, _nothing)


def load_prompt_cache(path: Path) -> Call[None]:
    """Load what a run with ``prompt_cache_params`` has saved."""
    return Call("rkllm.load_prompt_cache", {"prompt_cache_path": _absolute(path)}, _nothing)


def release_prompt_cache() -> Call[None]:
    """Forget the prompt cache that was loaded."""
    return Call("rkllm.release_prompt_cache", None, _nothing)


def clear_kv_cache(
    keep_system_prompt: bool = True,
    start_pos: Sequence[int] | None = None,
    end_pos: Sequence[int] | None = None,
) -> Call[None]:
    """Clear the model's cache, and with it the conversation.

    :param start_pos: with ``end_pos``, ranges of a paused run, a position for each row.
    """
    params = _given(
        keep_system_prompt=int(keep_system_prompt), start_pos=start_pos, end_pos=end_pos
    )
    return Call("rkllm.clear_kv_cache", params, _nothing)


def get_kv_cache_size() -> Call[list[int]]:
    """Tell how many tokens the cache holds, for each row of the batch."""
    return Call("rkllm.get_kv_cache_size", None, lambda result: list(result["cache_sizes"]))


def set_chat_template(
    system_prompt: str | None = None,
    prompt_prefix: str | None = None,
    prompt_postfix: str | None = None,
) -> Call[None]:
    """Set what stands before the conversation, before each prompt and after it."""
    params = _given(
        system_prompt=system_prompt, prompt_prefix=prompt_prefix, prompt_postfix=prompt_postfix
    )
    return Call("rkllm.set_chat_template", params, _nothing)


def set_function_tools(
    system_prompt: str | None = None,
    tools: str | Sequence[Any] | Mapping[str, Any] | None = None,
    tool_response_str: str | None = None,
) -> Call[None]:
    """Tell the model which functions it may call.

    :param tools: JSON as text, or the values themselves.
    :param tool_response_str: the tag around an input with the role ``tool``.
    """
    params = _given(system_prompt=system_prompt, tools=tools, tool_response_str=tool_response_str)
    return Call("rkllm.set_function_tools", params, _nothing)


def set_cross_attn_params(**params: Any) -> Call[None]:
    """Give the model what its encoder has computed: the fields of RKLLMCrossAttnParam."""
    return Call("rkllm.set_cross_attn_params", {"cross_attn_params": params}, _nothing)


def create_default_param() -> Call[Raw]:
    """Tell the runtime's own defaults: an RKLLMParam."""
    return Call("rkllm.createDefaultParam", None, _whole)


def get_constants() -> Call[Mapping[str, Mapping[str, int]]]:
    """Tell the enums of rkllm.h, as the loaded release has them."""
    return Call("rkllm.get_constants", None, _whole)


def status() -> Call[Status]:
    """Tell what the daemon is doing."""
    from rkllm_twisted.client_core.results import status_of  # noqa: PLC0415 - see the module

    return Call("server.status", None, status_of)


def version() -> Call[Version]:
    """Tell the daemon's version, and the runtime's."""
    from rkllm_twisted.client_core.results import version_of  # noqa: PLC0415 - see the module

    return Call("server.version", None, version_of)


def ping() -> Call[None]:
    """See whether the daemon answers."""
    return Call("server.ping", None, _nothing)


def configure(floats: str) -> Call[None]:
    """Choose the form in which arrays of floats come on this connection.

    :param floats: ``json`` or ``base64``. The form of streams is the client's own affair.
    """
    return Call("server.configure", {"floats": floats}, _nothing)
