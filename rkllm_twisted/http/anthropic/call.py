"""``/v1/messages`` and ``count_tokens``: requests to the parameters of the daemon's methods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.anthropic.fields import COUNT_TOKENS, MESSAGES
from rkllm_twisted.http.anthropic.messages import read_messages, read_system
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import Ignored, ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, mapping, wrong

#: The daemon's names of values, and those that they have here.
NAMES = (
    (re.compile(r"response_format\.json_schema"), "output_config.format"),
    (re.compile(r"(tools\[\d+\])\.function\.parameters"), r"\1.input_schema"),
    (re.compile("max_new_tokens"), "max_tokens"),
)
#: ``tool_choice.type`` -> OpenAI's ``tool_choice``.
_CHOICES: Mapping[object, str] = {"auto": "auto", "any": "required", "none": "none"}
_THINKING: Mapping[object, bool | None] = {"enabled": True, "disabled": False, "adaptive": None}


def read_message_call(body: Body) -> ModelCall:
    """Read the body of ``/v1/messages``.

    :raises HTTPError: a field is wrong, or asks for what RKLLM cannot do.
    """
    ignored = ignored_fields(body, MESSAGES)
    limit = count(body, "max_tokens")
    if limit is None:
        raise wrong("max_tokens", "is missing")
    params: dict[str, Any] = {"max_new_tokens": limit}
    if body.get("stop_sequences"):
        params["stop"] = body["stop_sequences"]
    conversation, further = _conversation(body)
    form = read_form(body)
    if form is not None:
        params["response_format"] = form
    if mapping(body, "output_config").get("effort") is not None:
        ignored = {**ignored, "output_config.effort": "The model decides."}
    return ModelCall.run(body, {**conversation, **params}, {**ignored, **further})


def read_form(body: Body) -> Mapping[str, Any] | None:
    """Return OpenAI's ``response_format``; None for any text.

    :raises HTTPError: it is no JSON schema.
    """
    place = "output_config.format"
    form = mapping(body, "output_config").get("format")
    if form is None:
        place, form = "output_format", body.get("output_format")
    if form is None:
        return None
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise wrong(place, f"must be of type json_schema, not {shown(form)}")
    return {"type": "json_schema", "json_schema": {"schema": form.get("schema")}}


def read_count_call(body: Body) -> ModelCall:
    """Read the body of ``/v1/messages/count_tokens``.

    :raises HTTPError: a field is wrong.
    """
    ignored = ignored_fields(body, COUNT_TOKENS)
    conversation, further = _conversation(body)
    return ModelCall.of(body, conversation, {**ignored, **further})


def _conversation(body: Body) -> tuple[Mapping[str, Any], Ignored]:
    """Return the parameters of what the model reads, and what it does not read."""
    ignored: dict[str, str] = {}
    messages = [*read_system(body.get("system")), *read_messages(body.get("messages"))]
    params: dict[str, Any] = {"messages": messages}
    tools = read_tools(body.get("tools"), ignored)
    if tools:
        params["tools"] = tools
        choice = read_choice(mapping(body, "tool_choice"), ignored)
        if choice is not None:
            params["tool_choice"] = choice
    thinking = read_thinking(mapping(body, "thinking"), ignored)
    if thinking is not None:
        params["enable_thinking"] = thinking
    return params, ignored


def read_tools(value: object, ignored: dict[str, str]) -> list[Mapping[str, Any]]:
    """Read ``tools``. Those that Anthropic's servers would run are added to the ignored.

    :raises HTTPError: a value is wrong; the error names its place.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong("tools", f"must be an array of tools, not {shown(value)}")
    tools: list[Mapping[str, Any]] = []
    for number, tool in enumerate(value):
        place = f"tools[{number}]"
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise wrong(f"{place}.name", "is missing")
        if tool.get("type") not in (None, "custom"):
            ignored[f"{place} ({str(tool['type'])[:40]})"] = ""
            continue
        described = {"description": tool["description"]} if tool.get("description") else {}
        schema = tool.get("input_schema") or {"type": "object"}
        function = {"name": tool["name"], **described, "parameters": schema}
        tools.append({"type": "function", "function": function})
    return tools


def read_choice(choice: Body, ignored: dict[str, str]) -> object:
    """Return OpenAI's ``tool_choice``; None if the model decides.

    :raises HTTPError: it is none that is known.
    """
    if choice.get("disable_parallel_tool_use"):
        ignored["tool_choice.disable_parallel_tool_use"] = "The model decides."
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if not choice:
        return None
    if not isinstance(kind, str) or kind not in _CHOICES:
        raise wrong("tool_choice.type", f"must be auto, any, tool or none, not {shown(kind)}")
    return _CHOICES[kind]


def read_thinking(thinking: Body, ignored: dict[str, str]) -> bool | None:
    """Return whether the model should reason first. It does not, unless the request says so.

    :returns: None if the model decides.
    :raises HTTPError: it is none that is known.
    """
    if thinking.get("budget_tokens") is not None:
        ignored["thinking.budget_tokens"] = ""
    kind = thinking.get("type", "disabled")
    if not isinstance(kind, str) or kind not in _THINKING:
        raise wrong("thinking.type", f"must be enabled, disabled or adaptive, not {shown(kind)}")
    return _THINKING[kind]
