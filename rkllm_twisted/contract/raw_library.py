"""Calls librkllmrt directly, and records its return values and its callbacks.

The daemon's own runtime would hide what the checks look for: it drops late callbacks, adds an end
if the library sends none, and raises an error for a status that is not 0.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.abi.layouts import CData, layout_of
from rkllm_twisted.abi.prepare import PreparedCall, inputs_for
from rkllm_twisted.abi.prepare import prepare as prepare_call
from rkllm_twisted.abi.release import releases
from rkllm_twisted.contract.verdict import NotTestable
from rkllm_twisted.errors import NotInRelease
from rkllm_twisted.runtime.detect import detect_release
from rkllm_twisted.runtime.library import open_file
from rkllm_twisted.values import RunState

#: The seconds of each callback of a slow run, so that a check can stop the run before it ends.
CALLBACK_DELAY_S = 0.01
QUESTION = "What is a module?"


@attrs.frozen
class CallbackRecord:
    """A callback.

    :param text: None for NULL.
    :param thread: the thread that made it.
    :param userdata: its userdata.
    :param has_arrays: True if it brought logits or hidden states.
    :param token: its token's id.
    :param generated: ``perf.generate_tokens``; None if the release has no figures.
    :param read: ``perf.prefill_tokens``; None if the release has no figures.
    :param rows: how many rows of logits it brought.
    :param columns: how many logits are in a row.
    :param likeliest: the token with the highest logit of the last row; -1 without logits.
    :param at: its time, in seconds of the monotonic clock.
    """

    state: int
    text: bytes | None
    thread: int
    userdata: int | None
    has_arrays: bool
    token: int
    generated: int | None
    read: int | None
    at: float
    rows: int = 0
    columns: int = 0
    likeliest: int = -1


@attrs.frozen
class RunRecord:
    """A run that has returned.

    :param status: the return value of rkllm_run.
    :param callbacks: the callbacks until it returned.
    :param began: the time of the call.
    :param ended: the time of the return.
    """

    status: int
    callbacks: tuple[CallbackRecord, ...]
    began: float
    ended: float

    @property
    def states(self) -> list[int]:
        """The states of the callbacks, without repetitions."""
        states = [callback.state for callback in self.callbacks]
        return [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s]

    @property
    def prefilled(self) -> int:
        """The number of tokens of the prompt that were read.

        :raises NotTestable: the library did not say it.
        """
        read = self.callbacks[-1].read if self.callbacks else None
        if self.status != 0 or not read:
            raise NotTestable(f"rkllm_run returned {self.status}, without perf.prefill_tokens.")
        return read

    @property
    def text(self) -> bytes:
        """The text of the answer."""
        return b"".join(s.text or b"" for s in self.callbacks if s.state == RunState.NORMAL)


class RawLibrary:
    """An open library with one handle.

    :param model: the path of the model that the checks load.
    :ivar path: of the library.
    :ivar callbacks: every callback so far.
    :ivar first_callback: set by the first callback of the run under way.
    :ivar callback_returns: the number that callbacks return.
    :ivar is_slow: True if each callback takes :data:`CALLBACK_DELAY_S`.
    :ivar in_callback: the function to call in each callback; None for none.
    :ivar kept: every argument of every call, so that C may still read it.
    :ivar init_param: the RKLLMParam that rkllm_init got, and a copy of it.
    """

    def __init__(self, library: str, abi: str | None, model: str) -> None:
        opened = open_file(library, abi, {}, releases())
        self.path = str(opened.path)
        self.known = detect_release(opened, abi, releases())
        self.layout = layout_of(self.known.release)
        self.model = model
        self.functions = {
            name: self.layout.prototype(function)((name, opened.native))
            for name, function in self.known.release.functions.items()
        }
        self.defaults = bytes(self.functions["rkllm_createDefaultParam"]())
        self.handle = ctypes.c_void_p()
        self.callbacks: list[CallbackRecord] = []
        self.first_callback = threading.Event()
        self.callback_returns = 0
        self.is_slow = False
        self.kept: list[Any] = []
        self._trampoline = self.layout.callbacks["LLMResultCallback"](self._on_callback)
        self.in_callback: Callable[[], object] | None = None
        self.init_param: CData = None
        self._init_param_copy: CData = None

    @property
    def release(self) -> str:
        """The release whose layout is in use."""
        return self.known.release.name

    def prepare(self, function: str, params: Mapping[str, Any]) -> PreparedCall:
        """Make the arguments of a call.

        :raises NotTestable: the release does not have the function.
        """
        try:
            prepared = prepare_call(self.layout, self.defaults, function, params)
        except NotInRelease as error:
            raise NotTestable(str(error)) from None
        self.kept.append(prepared)
        return prepared

    def call(self, function: str, params: Mapping[str, Any] | None = None, **slots: CData) -> int:
        """Call a C function with the handle, and return its number."""
        return self.call_prepared(self.prepare(function, params or {}), **slots)

    def call_prepared(self, prepared: PreparedCall, **slots: CData) -> int:
        """Call C with prepared arguments.

        :param slots: values that replace some of them.
        """
        arguments = {**prepared.arguments, "handle": self.handle, **slots}
        ordered = (arguments[parameter.name] for parameter in prepared.function.parameters)
        return int(self.functions[prepared.function.name](*ordered))

    def init(self, **param: Any) -> int:
        """Load the model with greedy sampling, so that it gives the same answer each time."""
        given = {"model_path": self.model, "top_k": 1, **param}
        prepared = self.prepare("rkllm_init", {"param": given})
        callback = self._trampoline
        if "RKLLMCallback" in self.layout.structs:
            whole = self.layout.structs["RKLLMCallback"](result_callback=callback)
            self.kept.append(whole)
            callback = ctypes.pointer(whole)
        self.handle = ctypes.c_void_p()
        self.init_param = prepared.arguments["param"]
        self._init_param_copy = type(self.init_param).from_buffer_copy(self.init_param)
        return self.call_prepared(prepared, handle=ctypes.byref(self.handle), callback=callback)

    def load(self, **param: Any) -> None:
        """Load the model.

        :raises NotTestable: it cannot be loaded.
        """
        status = self.init(**param)
        if status != 0 or not self.handle:
            raise NotTestable(f"rkllm_init returned {status}, and handle {self.handle.value}.")

    def destroy(self) -> int:
        """Destroy the model."""
        status = self.call("rkllm_destroy")
        self.handle = ctypes.c_void_p()
        return status

    def run(
        self, prompt: str = QUESTION, userdata: int = 1, function: str = "rkllm_run", **infer: Any
    ) -> RunRecord:
        """Run with a text, and record the callbacks."""
        return self._run({"prompt_input": prompt}, userdata, function, infer)

    def run_tokens(self, tokens: Sequence[int], **infer: Any) -> RunRecord:
        """Run with TOKEN input, and record the callbacks."""
        given = {"input_ids": list(tokens), "n_tokens": len(tokens)}
        rkllm_input = {"input_type": "RKLLM_INPUT_TOKEN", "token_input": given}
        return self._run(rkllm_input, 1, "rkllm_run", infer)

    def _run(
        self, rkllm_input: Mapping[str, Any], userdata: int, function: str, infer: Mapping[str, Any]
    ) -> RunRecord:
        params = {"rkllm_input": rkllm_input, "rkllm_infer_params": infer}
        prepared = self.prepare(function, params)
        for partial in prepared.partials:
            for name in partial.left_out:
                setattr(partial.structure, name, getattr(self._init_param_copy, name))
        before = len(self.callbacks)
        self.first_callback.clear()
        began = time.monotonic()
        inputs = inputs_for(prepared, 1)
        status = self.call_prepared(prepared, rkllm_input=inputs, userdata=userdata)
        return RunRecord(status, tuple(self.callbacks[before:]), began, time.monotonic())

    def cache_size(self) -> int:
        """The number of tokens in the cache."""
        sizes = (ctypes.c_int * 1)()
        status = self.call("rkllm_get_kv_cache_size", cache_sizes=sizes)
        if status != 0:
            raise NotTestable(f"rkllm_get_kv_cache_size returned {status}.")
        return int(sizes[0])

    def clear(self) -> int:
        """Clear the cache, without the system prompt; every release takes these parameters."""
        return self.call("rkllm_clear_kv_cache", {"keep_system_prompt": 0})

    def run_with(self, work: Callable[[], Any], **run: Any) -> tuple[RunRecord, Any]:
        """Run slowly, and call ``work`` in another thread after the first callback.

        :returns: the run, and what ``work`` returned.
        :raises NotTestable: the run ended without a callback.
        """
        did: list[Any] = []

        def wait_and_work() -> None:
            if self.first_callback.wait(60):
                did.append(work())

        worker = threading.Thread(target=wait_and_work, daemon=True)
        worker.start()
        self.is_slow = True
        ran = self.run(**run)
        self.is_slow = False
        if not self.first_callback.is_set():
            raise NotTestable(f"The run returned {ran.status} without a callback.")
        worker.join(10)
        if not did:
            raise NotTestable("What was called during the run did not return.")
        return ran, did[0]

    def _on_callback(self, pointer: CData, userdata: int | None, state: int) -> int:
        self.callbacks.append(self._read(pointer, userdata, state))
        self.first_callback.set()
        if self.is_slow:
            time.sleep(CALLBACK_DELAY_S)
        if self.in_callback is not None:
            self.in_callback()
        return self.callback_returns

    def _read(self, pointer: CData, userdata: int | None, state: int) -> CallbackRecord:
        result = pointer.contents if pointer else self.layout.structs["RKLLMResult"]()
        arrays = [result.last_hidden_layer.hidden_states]
        if hasattr(result, "logits"):
            arrays.append(result.logits.logits)
        return CallbackRecord(
            state=state,
            text=result.text,
            thread=threading.get_native_id(),
            userdata=userdata,
            has_arrays=any(map(bool, arrays)),
            token=result.token_id,
            generated=result.perf.generate_tokens if hasattr(result, "perf") else None,
            read=result.perf.prefill_tokens if hasattr(result, "perf") else None,
            at=time.monotonic(),
            **_logits_of(result),
        )


def _logits_of(result: CData) -> dict[str, int]:
    """Return what a callback record has of a result's logits."""
    logits = getattr(result, "logits", None)
    if logits is None or not logits.logits or logits.num_tokens < 1 or logits.vocab_size < 1:
        return {}
    rows, columns = int(logits.num_tokens), int(logits.vocab_size)
    last = logits.logits[(rows - 1) * columns : rows * columns]
    return {
        "rows": rows,
        "columns": columns,
        "likeliest": max(range(columns), key=last.__getitem__),
    }
