"""Verified fakes: what stands in for the NPU in tests, held to the real one by a contract suite.

:class:`FakeRuntime` is a runtime in memory; :class:`StepThread` is an NPU thread that a test steps
by hand, so that each moment between two steps can be looked at.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import InvalidParams, NoModel, NotInRelease, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime, OnResult, Params, RuntimeVersion

FUNCTIONS = {
    "rkllm_createDefaultParam": (),
    "rkllm_init": ("param",),
    "rkllm_run": ("rkllm_input", "rkllm_infer_params"),
    "rkllm_run_async": ("rkllm_input", "rkllm_infer_params"),
    "rkllm_destroy": (),
}
DEFAULT_PARAM = {"model_path": None, "max_context_len": 512, "max_new_tokens": 256}


@attrs.frozen
class Answer:
    """What a fake run does.

    :param texts: one callback each.
    :param endless: repeat the texts until aborted.
    :param error: end with state 3 and status -1.
    :param silent_end: end without a FINISH callback.
    """

    texts: tuple[str, ...] = ("Hello", " world")
    endless: bool = False
    error: bool = False
    silent_end: bool = False


def fake_result(text: str | None, state: int, tokens: int = 0) -> dict[str, Any]:
    """An RKLLMResult as runtime 1.2.1 and later give it."""
    return {
        "text": text,
        "token_id": tokens,
        "last_hidden_layer": {"hidden_states": None, "embd_size": 0, "num_tokens": 0},
        "logits": {"logits": None, "vocab_size": 0, "num_tokens": 0},
        "perf": {
            "prefill_time_ms": 0.0,
            "prefill_tokens": 0,
            "generate_time_ms": 0.0,
            "generate_tokens": tokens,
            "memory_usage_mb": 0.0,
        },
        "_callback_state": state,
    }


#: What the fake looks at in the parameters -> the types that it may have.
_LOOKED_AT = {
    "param": ("model_path", (str, type(None))),
    "rkllm_input": ("prompt_input", (str,)),
}


def _check(function: str, name: str, value: object) -> None:
    member, types = _LOOKED_AT[name]
    if value is None:
        raise InvalidParams(f"{function} needs {name}", {"parameter": name})
    if not isinstance(value, Mapping) or not isinstance(value.get(member, ""), types):
        raise InvalidParams(f"{name} is an object with {member}", {"parameter": name})


@attrs.frozen
class _Prepared:
    function: str
    arguments: Mapping[str, Any]


@implementer(IRuntime)
class FakeRuntime:
    """A runtime whose answers depend on the prompt alone.

    :param answers: prompt -> what the run does; other prompts get ``Answer()``.
    :param pace: called at each moment of a run at which other threads may act: before it enters
        "C", before each of its callbacks, and before it returns.
    :ivar performed: the functions that "C" was called with, in order.
    :ivar prompt: of the run that is in "C" now.
    """

    version = RuntimeVersion("fake", "1.2.1", "1.2.1", "it is a fake", "fake")

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        pace: Callable[[], object] = lambda: None,
    ) -> None:
        self._answers = {} if answers is None else answers
        self._pace = pace
        self._aborted = threading.Event()
        self._running = self._paused = False
        self.loaded = False
        self.model_path: str | None = None
        self.performed: list[str] = []
        self.prompt: str | None = None

    def prepare(self, function: str, params: Params) -> _Prepared:
        """See :meth:`IRuntime.prepare`; takes parameters by name or by position."""
        if function not in FUNCTIONS:
            raise NotInRelease(f"{function} is not in this release", {"function": function})
        names = FUNCTIONS[function]
        if isinstance(params, Mapping):
            arguments = dict(params)
        else:
            arguments = dict(zip(names, [p for p in params or () if p is not None], strict=False))
        for name in arguments:
            if name not in names:
                raise InvalidParams(f"{function} has no parameter {name}", {"parameter": name})
        for name in names[:1]:
            _check(function, name, arguments.get(name))
        return _Prepared(function, arguments)

    def perform(self, prepared: _Prepared, on_result: OnResult | None = None) -> dict[str, Any]:
        """See :meth:`IRuntime.perform`."""
        self.performed.append(prepared.function)
        if prepared.function == "rkllm_createDefaultParam":
            return dict(DEFAULT_PARAM)
        if prepared.function == "rkllm_init":
            self.loaded, self.model_path = True, prepared.arguments["param"].get("model_path")
        elif not self.loaded:
            raise NoModel("No model is loaded; load one with rkllm.init.")
        elif prepared.function == "rkllm_destroy":
            self.loaded, self.model_path = False, None
        else:
            assert on_result is not None
            self._run(prepared, on_result)
        return {"success": True, "status_code": 0}

    def _run(self, prepared: _Prepared, on_result: OnResult) -> None:
        prompt = prepared.arguments["rkllm_input"].get("prompt_input", "")
        answer = self._answers.get(prompt, Answer())
        self._pace()
        self._aborted.clear()
        self._running, self._paused, self.prompt = True, False, prompt
        try:
            self._generate(answer, on_result)
        finally:
            self._running, self.prompt = False, None
        if answer.error:
            raise RuntimeRefused(
                "rkllm_run returned -1", {"function": prepared.function, "status_code": -1}
            )

    def _generate(self, answer: Answer, on_result: OnResult) -> None:
        texts = deque(answer.texts)
        tokens = 0
        while texts and not self._aborted.is_set():
            self._pace()
            tokens += 1
            on_result(fake_result(texts[0], 0, tokens))
            if self._paused:
                return
            texts.rotate(-1) if answer.endless else texts.popleft()
        self._running = False
        if answer.error or not answer.silent_end:
            self._pace()
            on_result(fake_result(None, 3) if answer.error else fake_result(None, 2, tokens))
        self._pace()

    def abort(self) -> dict[str, Any]:
        """See :meth:`IRuntime.abort`."""
        if not self.loaded:
            raise NoModel("No model is loaded; load one with rkllm.init.")
        self._aborted.set()
        return {"success": True, "status_code": 0}

    def pause(self) -> dict[str, Any]:
        """See :meth:`IRuntime.pause`."""
        if not self.loaded:
            raise NoModel("No model is loaded; load one with rkllm.init.")
        self._paused = self._running
        return {"success": True, "status_code": 0, "paused": self._running}

    failed, problem = False, None

    def path_of(self, prepared: _Prepared) -> str | None:
        """See :meth:`IRuntime.path_of`."""
        param: Mapping[str, Any] = prepared.arguments.get("param", {})
        return param.get("model_path")

    def kill(self) -> bool:
        """See :meth:`IRuntime.kill`; a thread cannot be ended."""
        return False

    def is_running(self) -> bool:
        """See :meth:`IRuntime.is_running`."""
        return self._running

    def empty_result(self) -> dict[str, Any]:
        """See :meth:`IRuntime.empty_result`."""
        return fake_result(None, 2)

    def constants(self) -> dict[str, dict[str, int]]:
        """See :meth:`IRuntime.constants`."""
        return {"LLMCallState": {"RKLLM_RUN_NORMAL": 0}}

    def close(self) -> None:
        """See :meth:`IRuntime.close`."""
        self.loaded, self.model_path = False, None


class StepThread:
    """An NPU thread and the reactor's end of it, both stepped by the test.

    ``ThreadNPU(runtime, thread.in_thread, thread.from_thread)``
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._calls: deque[Callable[[], object]] = deque()

    def in_thread(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take a job for the thread."""
        done: Deferred[Any] = Deferred()

        def job() -> None:
            try:
                result = function(*args)
            except Exception:  # noqa: BLE001 - any failure belongs to the Deferred
                self.from_thread(done.errback, Failure())
            else:
                self.from_thread(done.callback, result)

        self._jobs.append(job)
        return done

    def from_thread(self, function: Callable[..., object], *args: Any) -> None:
        """Take a call for the reactor."""
        self._calls.append(lambda: function(*args))

    def __len__(self) -> int:
        """How many jobs wait for the thread."""
        return len(self._jobs)

    def go(self) -> None:
        """Let the thread do one job to its end."""
        self._jobs.popleft()()

    @property
    def calls(self) -> int:
        """How many calls wait for the reactor."""
        return len(self._calls)

    def deliver(self) -> None:
        """Let the reactor do the oldest of the calls that came from the thread."""
        self._calls.popleft()()

    def step(self) -> None:
        """Let the thread do one job to its end, then the reactor all that came of it."""
        self.go()
        while self._calls:
            self.deliver()

    def run(self) -> None:
        """Step until nothing is left."""
        while self._jobs:
            self.step()
