"""Shared by the routes that answer with a model."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rkllm_twisted.http.openai.chat_answer import Label
from rkllm_twisted.http.streams import Stream
from rkllm_twisted.http.target import Target
from rkllm_twisted.http.translation.call import AnyCall, ModelCall
from rkllm_twisted.http_interfaces import IExchange, IStreamedAnswer


def new_id(prefix: str, separator: str = "_") -> str:
    """Return an id that no other answer has."""
    return f"{prefix}{separator}{secrets.token_hex(12)}"


def label_for(target: Target, prefix: str) -> Label:
    """Return the label of a new answer.

    :param prefix: of its id, such as ``chatcmpl``.
    """
    digest = (target.model.digest or "")[:12] or str(target.model.created)
    fingerprint = f"fp_rkllm_{target.link.release}_{digest}"
    return Label(new_id(prefix, "-"), int(time.time()), target.model.name, fingerprint)


async def find(exchange: IExchange, call: AnyCall) -> tuple[Target, AnyCall]:
    """Return the model that a call names, and the call as that model's runtime can make it.

    :raises HTTPError: no daemon has such a model; with ``--strict``, the request asks for what
        cannot be done.
    """
    target = await exchange.daemons.find(call.model, exchange.client)
    call = call.for_release(target.link.samples)
    exchange.name_ignored(call.ignored)
    return target, call


async def ask(exchange: IExchange, method: str, call: ModelCall) -> tuple[Target, Any]:
    """Make a request for the model that a call names, and return the model and the result."""
    target, call = await find(exchange, call)
    return target, await target.call(method, call.params)


async def make_run(
    exchange: IExchange, target: Target, method: str, params: Mapping[str, Any]
) -> Any:
    """Make a run, and return its result."""
    result = await target.call(method, params)
    if result.get("flattened"):
        exchange.set_header("X-RKLLM-History", "flattened")
    return result


async def stream_run(
    stream: Stream,
    target: Target,
    method: str,
    params: Mapping[str, Any],
    answer: IStreamedAnswer,
    has_names: bool = False,
) -> Any:
    """Make a run, send what an API makes of each result, and return the final one.

    :param has_names: True if each event is named by its ``type``.
    """
    has_begun = False

    def send(results: Sequence[Any]) -> None:
        nonlocal has_begun
        made: list[Mapping[str, Any] | bytes] = [] if has_begun else [*answer.first()]
        has_begun = True
        for result in results:
            made += answer.piece(result)
        stream.push(made, has_names)

    final = await target.call(method, params, send)
    before = [] if has_begun else answer.first()
    # An error of the final result has a status of its own if it is alone.
    await stream.send_all([*before, *answer.last(final)], has_names)
    return final
