"""The library as C has it: numbers returned, callbacks as they come, nothing mended.

The daemon's own binding hides what is looked for here: it drops late callbacks, makes an end where
the library sends none, and raises what is not 0.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rkllm_twisted.abi.layouts import CData, layout_of
from rkllm_twisted.abi.prepare import PreparedCall, inputs_for, prepare
from rkllm_twisted.contract.verdict import NotTestable
from rkllm_twisted.errors import NotInRelease
from rkllm_twisted.runtime.detect import detect_release
from rkllm_twisted.runtime.library import open_file
from rkllm_twisted.values import RunState

#: A run that is to be stopped must not end by itself before: each callback takes so many seconds.
SLOW = 0.01
QUESTION = "What is a module?"


@attrs.frozen
class CallbackRecord:
    """A callback.

    :param text: None for NULL.
    :param thread: that it came on.
    :param userdata: that it brought.
    :param arrays: did it bring logits or hidden states?
    :param generated: ``perf.generate_tokens``, or None where the release has no figures.
    :param at: when, in seconds of the monotonic clock.
    """

    state: int
    text: bytes | None
    thread: int
    userdata: int | None
    arrays: bool
    generated: int | None
    at: float


@attrs.frozen
class RunRecord:
    """A run that has come back.

    :param status: what rkllm_run returned.
    :param seen: the callbacks until then.
    :param began: when rkllm_run was called.
    :param ended: when it returned.
    """

    status: int
    seen: tuple[CallbackRecord, ...]
    began: float
    ended: float

    @property
    def states(self) -> list[int]:
        """The callbacks' states, each row of equal ones once."""
        states = [seen.state for seen in self.seen]
        return [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s]

    @property
    def text(self) -> bytes:
        """What was said."""
        return b"".join(s.text or b"" for s in self.seen if s.state == RunState.NORMAL)


class RawLibrary:
    """One opened library and the one handle in it.

    :param model: the path of the model that checks load.
    :ivar seen: every callback so far.
    :ivar begun: set when the run under way has called back.
    :ivar reply: what the next callbacks return.
    :ivar slow: shall callbacks take a while?
    :ivar inside: what callbacks do beside.
    """

    def __init__(self, library: str, abi: str | None, model: str) -> None:
        opened = open_file(library, abi, {})
        self.known = detect_release(opened, abi)
        self.layout = layout_of(self.known.release)
        self.model = model
        self.functions = {
            name: self.layout.prototype(function)((name, opened.native))
            for name, function in self.known.release.functions.items()
        }
        self.defaults = bytes(self.functions["rkllm_createDefaultParam"]())
        self.handle = ctypes.c_void_p()
        self.seen: list[CallbackRecord] = []
        self.begun = threading.Event()
        self.reply = 0
        self.slow = False
        self.alive: list[Any] = []  # everything that C was ever given
        self._trampoline = self.layout.callbacks["LLMResultCallback"](self._called)
        self.inside: Callable[[], object] | None = None
        self.given: CData = None  # the RKLLMParam of rkllm_init
        self.param: CData = None  # a copy of it

    @property
    def release(self) -> str:
        """The layout in use."""
        return self.known.release.name

    def prepared(self, function: str, params: Mapping[str, Any]) -> PreparedCall:
        """Build the arguments of a call.

        :raises NotTestable: the release does not have the function.
        """
        try:
            prepared = prepare(self.layout, self.defaults, function, params)
        except NotInRelease as error:
            raise NotTestable(str(error)) from None
        self.alive.append(prepared)
        return prepared

    def call(self, function: str, params: Mapping[str, Any] | None = None, **slots: CData) -> int:
        """Call C with the handle; the number it returns."""
        return self.made(self.prepared(function, params or {}), **slots)

    def made(self, prepared: PreparedCall, **slots: CData) -> int:
        """Make a prepared call, with other values in some slots."""
        arguments = {**prepared.arguments, "handle": self.handle, **slots}
        ordered = (arguments[parameter.name] for parameter in prepared.function.parameters)
        return int(self.functions[prepared.function.name](*ordered))

    def init(self, **param: Any) -> int:
        """Load the model, greedy, so that it says the same each time."""
        given = {"model_path": self.model, "top_k": 1, **param}
        prepared = self.prepared("rkllm_init", {"param": given})
        callback = self._trampoline
        if "RKLLMCallback" in self.layout.structs:
            whole = self.layout.structs["RKLLMCallback"](result_callback=callback)
            self.alive.append(whole)
            callback = ctypes.pointer(whole)
        self.handle = ctypes.c_void_p()
        self.given = prepared.arguments["param"]
        self.param = type(self.given).from_buffer_copy(self.given)
        return self.made(prepared, handle=ctypes.byref(self.handle), callback=callback)

    def loaded(self, **param: Any) -> None:
        """Load the model.

        :raises NotTestable: that does not succeed.
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
        """Run, and take down what comes."""
        params = {"rkllm_input": {"prompt_input": prompt}, "rkllm_infer_params": infer}
        prepared = self.prepared(function, params)
        for partial in prepared.partials:
            for name in partial.left_out:
                setattr(partial.structure, name, getattr(self.param, name))
        before = len(self.seen)
        self.begun.clear()
        began = time.monotonic()
        inputs = inputs_for(prepared, 1)
        status = self.made(prepared, rkllm_input=inputs, userdata=userdata)
        return RunRecord(status, tuple(self.seen[before:]), began, time.monotonic())

    def cache_size(self) -> int:
        """Tokens in the cache."""
        sizes = (ctypes.c_int * 1)()
        status = self.call("rkllm_get_kv_cache_size", cache_sizes=sizes)
        if status != 0:
            raise NotTestable(f"rkllm_get_kv_cache_size returned {status}.")
        return int(sizes[0])

    def clear(self) -> int:
        """Clear the cache, whatever parameters the release wants."""
        return self.call("rkllm_clear_kv_cache", {"keep_system_prompt": 0})

    def beside(self, work: Callable[[], Any], **run: Any) -> tuple[RunRecord, Any]:
        """Run slowly, and do something in another thread once it has begun.

        :returns: the run, and what the work returned.
        :raises NotTestable: the run ended without a callback.
        """
        did: list[Any] = []

        def wait_and_work() -> None:
            if self.begun.wait(60):
                did.append(work())

        worker = threading.Thread(target=wait_and_work, daemon=True)
        worker.start()
        self.slow = True
        ran = self.run(**run)
        self.slow = False
        if not self.begun.is_set():
            raise NotTestable(f"The run returned {ran.status} and called nobody back.")
        worker.join(10)
        if not did:
            raise NotTestable("What was called beside the run did not return.")
        return ran, did[0]

    def _called(self, pointer: CData, userdata: int | None, state: int) -> int:
        self.seen.append(self._read(pointer, userdata, state))
        self.begun.set()
        if self.slow:
            time.sleep(SLOW)
        if self.inside is not None:
            self.inside()
        return self.reply

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
            arrays=any(map(bool, arrays)),
            generated=result.perf.generate_tokens if hasattr(result, "perf") else None,
            at=time.monotonic(),
        )
