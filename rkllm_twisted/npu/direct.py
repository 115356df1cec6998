"""The calls of the NPU that need no turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, execute, fail

from rkllm_twisted.errors import NoModel
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.values import Params, Result, RuntimeVersion


class DirectCalls:
    """The part of :class:`~rkllm_twisted.interfaces.INPU` that goes around the queue.

    It is a base class: of a part, each method would need another that only passes the call on.

    :param runtime: only what may be used in any thread is used.
    """

    def __init__(self, runtime: IRuntime) -> None:
        self._runtime = runtime
        self.release = runtime.release

    def prepare(self, function: str, params: Params) -> Any:
        """See :meth:`INPU.prepare`."""
        return self._runtime.prepare(function, params)

    def pause(self) -> Deferred[Result]:
        """See :meth:`INPU.pause`."""
        return execute(self._runtime.pause)

    def is_running(self) -> Deferred[Result]:
        """See :meth:`INPU.is_running`."""
        if not self._runtime.loaded:
            return fail(NoModel.after(self._runtime.problem))
        running = execute(self._runtime.is_running)
        return running.addCallback(
            lambda running: {"success": True, "status_code": 0, "is_running": running}
        )

    def constants(self) -> Mapping[str, Mapping[str, int]]:
        """See :meth:`INPU.constants`."""
        enums: Mapping[str, Mapping[str, int]] = self.release.enums
        return enums

    def version(self) -> RuntimeVersion:
        """See :meth:`INPU.version`."""
        version: RuntimeVersion = self._runtime.version
        return version
