"""``/v1/responses``: a request to the parameters of ``chat.complete``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.openai.response_items import read_input
from rkllm_twisted.http.openai.responses_fields import RESPONSES
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, mapping, text, wrong

#: The daemon's names of values, and those that they have here.
NAMES = (
    (re.compile(r"response_format(\.json_schema)?"), "text.format"),
    (re.compile(r"(tools\[\d+\])\.function"), r"\1"),
    (re.compile("max_new_tokens"), "max_output_tokens"),
)
_CHOICES = ("auto", "none", "required")


def read_response(body: Body) -> ModelCall:
    """Read the body of a request.

    :raises HTTPError: a field is wrong, or asks for what RKLLM cannot do.
    """
    ignored = ignored_fields(body, RESPONSES)
    messages, left_out = read_input(body.get("input"), text(body, "instructions"))
    tools, skipped = read_tools(body.get("tools"))
    params: dict[str, Any] = {"messages": messages}
    if tools:
        params["tools"] = tools
        choice = _choice(body.get("tool_choice"))
        if choice is None and body.get("tool_choice") is not None:
            skipped.append("tool_choice")
        params |= {"tool_choice": choice} if choice else {}
    limit = count(body, "max_output_tokens")
    effort = text(mapping(body, "reasoning"), "effort")
    form = _format(mapping(mapping(body, "text"), "format"))
    further = {
        "max_new_tokens": limit,
        "enable_thinking": None if effort is None else effort != "none",
        "response_format": form,
        "truncate": True if text(body, "truncation") == "auto" else None,
        "conversation": text(body, "prompt_cache_key") or None,
    }
    params |= {name: value for name, value in further.items() if value is not None}
    return ModelCall.run(body, params, {**ignored, **dict.fromkeys([*left_out, *skipped], "")})


def read_tools(value: object) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Read ``tools``.

    :returns: the functions in the form of chat completions; and the names of the other tools,
        which OpenAI's servers or the client's program would run. They are left out.
    :raises HTTPError: a value is wrong; the error names its place.
    """
    if value is None:
        return [], []
    if not isinstance(value, list):
        raise wrong("tools", f"must be an array of tools, not {shown(value)}")
    tools: list[Mapping[str, Any]] = []
    skipped: list[str] = []
    for number, tool in enumerate(value):
        place = f"tools[{number}]"
        if not isinstance(tool, dict):
            raise wrong(place, f"must be an object, not {shown(tool)}")
        if tool.get("type") != "function":
            skipped.append(f"{place} ({str(tool.get('type'))[:40]})")
            continue
        if not isinstance(tool.get("name"), str):
            raise wrong(f"{place}.name", "is missing")
        names = ("name", "description", "parameters")
        function = {name: tool[name] for name in names if tool.get(name) is not None}
        tools.append({"type": "function", "function": function})
    return tools, skipped


def _choice(value: object) -> object:
    """Return OpenAI's older ``tool_choice``; None if it is about another tool."""
    if value in _CHOICES:
        return value
    if isinstance(value, dict) and value.get("type") == "function":
        return {"type": "function", "function": {"name": value.get("name")}}
    return None


def _format(form: Body) -> Mapping[str, Any] | None:
    """Return ``response_format`` of chat completions, None for text."""
    if form.get("type", "text") == "text":
        return None
    if form["type"] != "json_schema":
        return form
    schema = {name: value for name, value in form.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}
