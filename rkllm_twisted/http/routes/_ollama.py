"""Shared by the routes of Ollama's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.errors import HTTPError, InvalidParams, NoModel, RPCError, Unreachable
from rkllm_twisted.http.ollama.answer import AnswerLines
from rkllm_twisted.http.ollama.call import AskedModel, OllamaCall, without
from rkllm_twisted.http.ollama.embed import EmbedCall
from rkllm_twisted.http.ollama.models import Facts, listed_name
from rkllm_twisted.http.routes._answers import make_run, stream_run
from rkllm_twisted.http.served_models import ServedModel, known_names
from rkllm_twisted.http.target import Target
from rkllm_twisted.http.translation.reading import text, wrong
from rkllm_twisted.http_interfaces import IExchange

_log = Logger("rkllm.http")


def now() -> str:
    """Return the time in the form of RFC 3339, in UTC."""
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def facts_of(model: ServedModel) -> Facts:
    """Return what is known of a model."""
    return Facts(model.name, model.context, model.size, model.modified, model.raw)


def asked_name(body: Mapping[str, Any]) -> str:
    """Return the model that a request names, by the older name of the field, too.

    :raises HTTPError: it names none.
    """
    name = text(body, "model") or text(body, "name")
    if not name:
        raise wrong("model", "is missing")
    return name


async def find(exchange: IExchange, name: str | None) -> Target:
    """Return the model that a name means, and its daemon.

    :raises HTTPError: there is none; the text is one that Ollama's clients look for.
    """
    try:
        target: Target = await exchange.daemons.find(name, exchange.client)
    except HTTPError as error:
        if error.code != "model_not_found":
            raise
        known = known_names(await exchange.daemons.models())
        text = f"model '{(name or '')[:100]}' not found; {known}"
        raise HTTPError(404, text, error.kind, error.code) from None
    return target


async def answer(exchange: IExchange, call: OllamaCall, is_chat: bool) -> None:
    """Answer ``/api/chat`` or ``/api/generate``."""
    elapsed_ns = stopwatch(exchange)
    stream = exchange.lines() if call.stream and call.method else None
    target = await find(exchange, call.model)
    call = call.for_model(_asked_model(call, target))
    exchange.name_ignored(call.ignored)
    name = call.model or listed_name(target.model.name)
    lines = AnswerLines(name, is_chat, now, elapsed_ns)
    method = call.method
    if method is None:
        exchange.send_json(lines.without_run(await load_or_unload(target, call.unloads)))
        return

    async def send(params: Mapping[str, Any]) -> None:
        if stream is not None:
            await stream_run(stream, target, method, params, lines)
        else:
            exchange.send_json(lines.whole(await make_run(exchange, target, method, params)))

    try:
        await send(call.params)
    except InvalidParams as error:
        if (error.data or {}).get("parameter") != "truncate":
            raise
        # Shortening is Ollama's default, and this model has no tokenizer: send all.
        exchange.name_ignored({**call.ignored, "truncate": ""})
        await send(without(call.params, "truncate"))
    if call.unloads:
        unload_soon(target)


def stopwatch(exchange: IExchange) -> Callable[[], int]:
    """Return a function that returns the nanoseconds since now."""
    seconds: Callable[[], float] = exchange.clock.seconds
    began = seconds()
    return lambda: int((seconds() - began) * 1e9)


def _asked_model(call: OllamaCall, target: Target) -> AskedModel:
    served = target.model
    known = served.raw.get("capabilities")
    capabilities = None if known is None else tuple(known)
    return AskedModel(call.model or served.name, capabilities, served.context, target.link.samples)


async def load_or_unload(target: Target, unloads: bool) -> str:
    """Load a model, or unload it, and return which.

    A model without a name in its daemon is loaded already.
    """
    if unloads:
        await _unload(target)
        return "unload"
    if target.model.target is not None:
        await target.call("models.load", {})
    return "load"


async def _unload(target: Target) -> None:
    with suppress(NoModel, InvalidParams):  # it is not the loaded one
        await target.call("models.unload", {})


def unload_soon(target: Target) -> None:
    """Unload a model once the runs that wait have ended; the answer does not wait for that."""

    def failed(failure: Failure) -> None:
        failure.trap(RPCError, Unreachable)
        _log.warn(
            "{model} is not unloaded: {reason}",
            model=target.model.name,
            reason=failure.getErrorMessage(),
        )

    Deferred.fromCoroutine(_unload(target)).addErrback(failed)


async def embed(exchange: IExchange, call: EmbedCall) -> tuple[str, Any]:
    """Make embeddings; or load or unload the model, if there is no text.

    :returns: the model's name, and the result of ``embeddings.create`` or None.
    """
    target = await find(exchange, call.model)
    exchange.name_ignored(call.ignored)
    name = call.model or listed_name(target.model.name)
    if call.params is None:
        await load_or_unload(target, call.unloads)
        return name, None
    result = await target.call("embeddings.create", call.params)
    if call.unloads:
        unload_soon(target)
    return name, result
