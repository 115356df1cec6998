"""A fake runtime: the parameters, layouts and errors of a real one, and scripted answers."""

from __future__ import annotations

import re
import signal as signals
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from zope.interface import implementer

from rkllm_twisted.abi.arguments import assign_arguments
from rkllm_twisted.abi.from_c import empty_result, output_buffers, to_json, values_of
from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import find_function, prepare
from rkllm_twisted.abi.release import Release, release_for
from rkllm_twisted.abi.return_codes import check_pausable, outputs_of
from rkllm_twisted.errors import NoModel, RPCError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation.channel import ChildExit
from rkllm_twisted.testing.answers import Answer, Crash, End, Fault, Faults, Hang, Reply, ReplyTable
from rkllm_twisted.testing.arrays import ARRAYS
from rkllm_twisted.testing.prepared import Prepared, prompt_of, tokens_in
from rkllm_twisted.testing.results import default_param, figures
from rkllm_twisted.testing.vocabulary import WordVocabulary
from rkllm_twisted.values import OnResults, Params, RunState, RuntimeVersion


@implementer(IRuntime)
class FakeRuntime:
    """A runtime with answers that depend only on the prompt.

    :param answers: see :class:`~rkllm_twisted.testing.answers.ReplyTable`.
    :param pace: called at each point of a run at which other threads may act: before it enters
        "C", before each of its callbacks, and before it returns.
    :param default: the reply to prompts that have no answer.
    :param faults: the faults of calls that are not runs.
    :param release: the release with the layout to use: its number, or the release itself.
    :param wait: waits for a number of seconds, or without limit if it is None, or until ``wake`` is
        called.
    :param disconnect: closes the connection of the current call. Called in the NPU thread.
    :param killable: True if a call that hangs can be killed, as in a child process.
    :ivar vocabulary: the tokens of prompts and answers, if a prompt is tokens.
    :ivar width: of the embeddings; 0: it does not show it.
    :ivar performed: the functions called in "C", in order.
    :ivar prompt: the prompt of the run that is in "C" now.
    """

    def __init__(
        self,
        answers: Mapping[str | re.Pattern[str], Reply] | None = None,
        pace: Callable[[], object] = lambda: None,
        *,
        default: Reply = Answer(),  # noqa: B008 - a frozen value
        faults: Faults = MappingProxyType({}),
        release: str | Release = "1.3.0",
        wait: Callable[[float | None], object] | None = None,
        wake: Callable[[], object] = lambda: None,
        disconnect: Callable[[], object] = lambda: None,
        killable: bool = False,
    ) -> None:
        self.release = release_for(release) if isinstance(release, str) else release
        version = release if isinstance(release, str) else release.name
        self.version = RuntimeVersion("fake", version, self.release.name, "it is a fake", "fake")
        self._layout = layout_of(self.release)
        self._replies = ReplyTable({} if answers is None else answers, default, faults)
        self._pace = pace
        self._stopped = threading.Event()  # aborted or killed
        self._wait = wait or self._stopped.wait
        self._wake = wake
        self._disconnect = disconnect
        self._killable = killable
        self._running = self._paused = self._killed = False
        self._rows, self._cached = 1, 0
        self._reads_tokens = False
        self.vocabulary = WordVocabulary()
        self.failed = False
        self.problem: str | None = None
        self.crashes = 0
        self.model_path: str | None = None
        self.width = 0
        self.loaded = False
        self.performed: list[str] = []
        self.prompt: str | None = None

    def prepare(self, function: str, params: Params) -> Prepared:
        """See :meth:`IRuntime.prepare`; the checks are the real ones."""
        defaults = bytes(default_param(self.release))
        checked = prepare(self._layout, defaults, function, params)
        arguments = assign_arguments(find_function(self._layout, function), params)
        return Prepared(function, arguments, checked)

    def perform(self, prepared: Prepared, on_results: OnResults | None = None) -> dict[str, Any]:
        """See :meth:`IRuntime.perform`. It opens no file."""
        function = prepared.function
        self.performed.append(function)
        if prepared.checked.function.needs_model:
            self._check_model()
        if function == "rkllm_init":
            self.load(None)  # as the daemon does before a load, which may then fail
        if on_results is None:
            self._stopped.clear()
            self._execute_fault(self._replies.fault(function))
        return _PERFORM.get(function, FakeRuntime._plain)(self, prepared, on_results)

    def _check_model(self) -> None:
        if not self.loaded:
            raise NoModel.after(self.problem)

    def _execute_fault(self, fault: Fault | None) -> None:
        """Make a fault happen."""
        if fault is None:
            return
        if isinstance(fault, RPCError):
            raise fault.with_traceback(None)
        if isinstance(fault, Crash):
            raise self._crash(fault.signal)
        if not isinstance(fault, Hang):
            self._disconnect()
        while not self._stopped.is_set():
            self._wait(None)
        if self._killed:
            self._killed = False
            raise self._crash(signals.SIGKILL)

    def _crash(self, signal: int) -> RPCError:
        self.load(None)
        child_exit = ChildExit(signal, None, ())
        self.problem = child_exit.reason()
        self.crashes += 1
        return child_exit.error()

    def load(self, model_path: str | None, rows: int = 1) -> None:
        """Set the loaded model; None means no model."""
        self.loaded, self.model_path, self._rows = model_path is not None, model_path, rows
        self._cached = 0

    def _plain(self, prepared: Prepared, _: OnResults | None) -> dict[str, Any]:
        function = prepared.checked.function
        zeros = values_of(
            self._layout, function, output_buffers(self._layout, function, self._rows)
        )
        return {**outputs_of(prepared.function, 0), **zeros}

    def _create_default_param(self, _: Prepared, __: OnResults | None) -> dict[str, Any]:
        return to_json(self._layout, default_param(self.release))

    def _init(self, prepared: Prepared, _: OnResults | None) -> dict[str, Any]:
        param = prepared.arguments["param"]
        extended = param.get("extend_param") or {}
        self.load(str(param.get("model_path") or ""), extended.get("n_batch", 1))
        self.problem = None
        return outputs_of("rkllm_init", 0)

    def _destroy(self, _: Prepared, __: OnResults | None) -> dict[str, Any]:
        self.load(None)
        return outputs_of("rkllm_destroy", 0)

    def _get_kv_cache_size(self, _: Prepared, __: OnResults | None) -> dict[str, Any]:
        return {
            **outputs_of("rkllm_get_kv_cache_size", 0),
            "cache_sizes": [self._cached] * self._rows,
        }

    def _clear_kv_cache(self, _: Prepared, __: OnResults | None) -> dict[str, Any]:
        self._cached = 0
        return outputs_of("rkllm_clear_kv_cache", 0)

    def _run(self, prepared: Prepared, on_results: OnResults | None) -> dict[str, Any]:
        assert on_results is not None
        prompt = prompt_of(prepared, self.vocabulary)
        self._reads_tokens = bool(tokens_in(prepared))
        self._pace()
        self._stopped.clear()
        self._running, self._paused, self.prompt = True, False, prompt
        try:
            answer = self._with_arrays(self._replies.answer(prompt), prepared, prompt)
            end, tokens = self._generate(answer, prompt, on_results)
        finally:
            self._running, self.prompt = False, None
        if prepared.checked.keeps_history and not self._reads_tokens:
            self._cached += len(prompt.split()) + tokens
        return outputs_of(prepared.function, -1 if end is End.ERROR else 0)

    def _with_arrays(self, answer: Answer, prepared: Prepared, prompt: str) -> Answer:
        """Return the answer of a run in a mode that returns arrays; a text stands for them."""
        infer = prepared.checked.arguments.get("rkllm_infer_params")
        make = ARRAYS.get(getattr(infer, "mode", 0))
        is_text = answer.then is End.FINISH and all(isinstance(one, str) for one in answer.parts)
        if make is None or not is_text or answer.endless:
            return answer
        members = make(prompt, self.vocabulary.size)
        if not members.keys() <= empty_result(self._layout).keys():
            return answer
        return attrs.evolve(answer, parts=({"text": "", **members},), then=End.SILENT)

    def _generate(self, answer: Answer, prompt: str, on_results: OnResults) -> tuple[End, int]:
        """Make the callbacks of a run.

        :returns: the end of the run, and the number of tokens.
        """
        parts, tokens = deque(answer.parts), 0
        while parts and not self._stopped.is_set():
            self._pause_before_callback(answer)
            on_results([self._partial(parts[0], tokens)])
            tokens += 1
            if self._paused:
                return End.SILENT, tokens
            parts.rotate(-1) if answer.endless else parts.popleft()
        end = answer.then
        if not isinstance(end, End):
            if not self._stopped.is_set():
                self._execute_fault(end)
            end = End.FINISH  # the run was aborted during its fault
        self._running = False
        if end is not End.SILENT:
            self._pause_before_callback(answer)
            on_results([self._last(end, prompt, tokens)])
        self._pace()
        return end, tokens

    def _pause_before_callback(self, answer: Answer) -> None:
        if answer.pause and not self._stopped.is_set():
            self._wait(answer.pause)
        self._pace()

    def _partial(self, part: str | Mapping[str, Any], token: int) -> dict[str, Any]:
        members = {"text": part} if isinstance(part, str) else part
        if self._reads_tokens:
            token = self.vocabulary.id_of(members.get("text") or "")
        result = {
            **empty_result(self._layout),
            "token_id": token,
            "_callback_state": RunState.NORMAL,
            **members,
        }
        if self._rows == 1:
            return result
        row = {name: value for name, value in result.items() if name != "_callback_state"}
        return {**result, "results": [row] * self._rows}

    def _last(self, end: End, prompt: str, tokens: int) -> dict[str, Any]:
        state = RunState.FINISH if end is End.FINISH else RunState.ERROR
        result = {**empty_result(self._layout), "text": "", "_callback_state": state}
        if "perf" in result:
            result["perf"] = figures(len(prompt.split()), tokens)
        return result

    def abort(self) -> dict[str, Any]:
        """See :meth:`IRuntime.abort`."""
        self._check_model()
        self._stop()
        return outputs_of("rkllm_abort", 0)

    def _stop(self) -> None:
        self._stopped.set()
        self._wake()

    def pause(self) -> dict[str, Any]:
        """See :meth:`IRuntime.pause`."""
        check_pausable(self.release)
        self._check_model()
        self._paused = self._running
        return {**outputs_of("LLMResultCallback", 0), "paused": self._running}

    def kill(self) -> bool:
        """See :meth:`IRuntime.kill`; a call that hangs crashes."""
        if self._killable:
            self._killed = True
            self._stop()
        return self._killable

    def is_running(self) -> bool:
        """See :meth:`IRuntime.is_running`."""
        return self._running

    def embedding_width(self) -> int:
        """See :meth:`IRuntime.embedding_width`."""
        return self.width

    def close(self) -> None:
        """See :meth:`IRuntime.close`."""
        self.load(None)


#: Function -> the method that performs it; all others return zeros.
_PERFORM: Mapping[str, Callable[[FakeRuntime, Prepared, OnResults | None], dict[str, Any]]] = {
    "rkllm_createDefaultParam": FakeRuntime._create_default_param,
    "rkllm_init": FakeRuntime._init,
    "rkllm_destroy": FakeRuntime._destroy,
    "rkllm_run": FakeRuntime._run,
    "rkllm_run_async": FakeRuntime._run,
    "rkllm_get_kv_cache_size": FakeRuntime._get_kv_cache_size,
    "rkllm_clear_kv_cache": FakeRuntime._clear_kv_cache,
}
