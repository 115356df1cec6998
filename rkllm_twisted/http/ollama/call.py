"""What ``/api/chat`` and ``/api/generate`` ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.ollama.fields import OPTIONS
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import Ignored, ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, flag, mapping, model_name, wrong
from rkllm_twisted.http.translation.sampling import read_sampling

CHAT, TEXT = "chat.complete", "text.complete"
#: The units of durations, in seconds.
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)"
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART})+)", re.ASCII)
_LEVELS = ("low", "medium", "high")


def without(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return parameters without one of them."""
    return {key: value for key, value in params.items() if key != name}


@attrs.frozen
class OllamaCall(ModelCall):
    """What a request asks for.

    :param method: the daemon's method; None if the model is only to be loaded or unloaded.
    :param keep_alive: seconds for which the model is to stay loaded; infinity for ever, None if
        the request does not say.
    :param needs: the capabilities that the model must have.
    :param room: the tokens of context that the request asks for; None for the model's own.
    """

    method: str | None
    keep_alive: float | None
    needs: tuple[str, ...]
    room: int | None

    @property
    def unloads(self) -> bool:
        """True if the model is to be unloaded afterwards."""
        return self.keep_alive == 0

    def for_model(self, abilities: AskedModel) -> OllamaCall:
        """Return the call for a model, with what that cannot do among the ignored.

        :raises HTTPError: the model lacks what the request needs.
        """
        for need in self.needs:
            if abilities.lacks(need):
                raise HTTPError(400, f'"{abilities.name}" does not support {need}')
        call = self.for_release(abilities.samples)
        params, ignored = call.params, call.ignored
        if self.room is not None and self.room > (abilities.context or 0):
            ignored = {**ignored, "options.num_ctx": ""}
        if params.get("enable_thinking") is False and abilities.lacks("thinking"):
            params = without(params, "enable_thinking")
        return attrs.evolve(call, params=params, ignored=ignored)


@attrs.frozen
class AskedModel:
    """What a call must know of its model.

    :param capabilities: see ``models.list``; None if they are not known.
    :param context: in tokens; None if it is not known.
    :param samples: True if a run may have sampling parameters of its own.
    """

    name: str
    capabilities: tuple[str, ...] | None
    context: int | None
    samples: bool

    def lacks(self, capability: str) -> bool:
        """True if it is known that the model cannot do something."""
        return self.capabilities is not None and capability not in self.capabilities


def read_call(
    body: Body, method: str | None, params: Mapping[str, Any], ignored: Ignored
) -> OllamaCall:
    """Read the fields that chats and other runs have in common.

    :param params: the parameters that are known.
    :param ignored: the ignored fields that are known.
    :raises HTTPError: a field is wrong.
    """
    options = mapping(body, "options")
    of_options = ignored_fields(options, OPTIONS)
    named = {**ignored, **{f"options.{name}": why for name, why in of_options.items()}}
    made = {**params, **_limits(options)}
    needs = ["tools"] if params.get("tools") else []
    think = read_think(body.get("think"))
    if think is not None and method == CHAT:
        made["enable_thinking"] = think
        needs += ["thinking"] if think else []
        if isinstance(body["think"], str):
            named["think (the level)"] = ""
    keep_alive = read_keep_alive(body.get("keep_alive"))
    if keep_alive:
        named["keep_alive"] = ""
    return OllamaCall(
        model_name(body),
        made,
        named,
        read_sampling(options, "options."),
        flag(body, "stream") is not False,
        method,
        keep_alive,
        tuple(needs),
        count(options, "num_ctx"),
    )


def _limits(options: Body) -> Mapping[str, Any]:
    params: dict[str, Any] = {}
    limit = count(options, "num_predict", -(2**31))
    if limit is not None and limit > 0:
        params["max_new_tokens"] = limit
    if options.get("stop"):
        params["stop"] = options["stop"]
    return params


def read_think(value: object) -> bool | None:
    """Return whether the model should reason first; None if it decides.

    :raises HTTPError: it is another value.
    """
    if value is None or isinstance(value, bool):
        return value
    if value not in _LEVELS:
        raise wrong("think", f"must be true, false, low, medium or high, not {shown(value)}")
    return True


def read_format(value: object) -> Mapping[str, Any] | None:
    """Return OpenAI's ``response_format``; None for any form.

    :raises HTTPError: it is neither ``json`` nor a schema.
    """
    if value in (None, ""):
        return None
    if value == "json":
        return {"type": "json_object"}
    if not isinstance(value, dict):
        raise wrong("format", f"must be json or a JSON schema, not {shown(value)}")
    return {"type": "json_schema", "json_schema": {"name": "format", "schema": value}}


def read_keep_alive(value: object) -> float | None:
    """Return the seconds of ``keep_alive``, a number or a text such as ``5m`` or ``1h30m``.

    :returns: infinity if it is below 0; None if it is absent.
    :raises HTTPError: it is something else.
    """
    if value is None or value == "":
        return None
    seconds: float
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        parts = re.findall(_PART, value)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        seconds = -seconds if value.startswith("-") else seconds
    else:
        what = "a number of seconds, or a text such as 5m, 0 or -1s"
        raise wrong("keep_alive", f"must be {what}, not {shown(value)}")
    return math.inf if seconds < 0 else seconds
