"""The function of :mod:`~rkllm_twisted.client_core.methods` for several calls in one turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rkllm_twisted.client_core.call import MethodCall, unchanged


def sequence(
    calls: Sequence[MethodCall[Any] | Mapping[str, Any]], *, timeout: float | None = None
) -> MethodCall[list[Any]]:
    """Make several calls in one turn: no other client's call comes in between.

    The first call that fails ends the turn. Its error names it; ``error.data`` has its number in
    ``call_index``, and in ``results`` what the calls before it returned.

    :param calls: calls of :mod:`rkllm_twisted.client_core.methods`, such as ``methods.run("Hi")``,
        or objects with ``method`` and ``params`` as in JSON-RPC.
    :param timeout: seconds to wait for all of them; None means the client's own timeout.
    :returns: the results in order, each as its own method returns it, or as the daemon sent it.
    :raises InvalidParams, NotAllowed, NotInRelease: before the first call is made.
    """

    def read(answer: Mapping[str, Any]) -> list[Any]:
        return [
            getattr(call, "read", unchanged)(result)
            for call, result in zip(calls, answer["results"], strict=True)
        ]

    params = {"calls": [_asked(call) for call in calls], "stream": False}
    return MethodCall("server.sequence", params, read, timeout)


def _asked(call: MethodCall[Any] | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(call, MethodCall):
        return call
    return {"method": call.method, "params": call.params}
