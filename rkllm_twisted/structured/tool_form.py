"""The form of a tool call: the name of a function, and arguments by its schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.tool_formats import ToolFormat
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.structured.form import MAX_TEXT, Form, form_of


def argument_forms(tools: Tools) -> Iterator[Form]:
    """Yield the form of each function's arguments, so that an error names its place.

    :raises InvalidParams: one is no schema.
    """
    for number, tool in enumerate(tools.definitions):
        yield form_of(
            "schema", arguments_schema(tool, number), f"tools[{number}].function.parameters"
        )


def call_form(tools: Tools, form: ToolFormat) -> Form:
    """Return the form of the rest of a call, behind what :meth:`ToolFormat.beginning` returns.

    :param tools: if one function has to be called, its name is in the beginning already.
    :raises InvalidParams: the schemas are too long together.
    """
    end = json.dumps("}") if form.end.startswith("}") else ""
    rules, heads = [], []
    for number, tool in enumerate(tools.definitions):
        name = str(tool["function"]["name"])
        if tools.only not in (None, name):
            continue
        written = json.dumps(name, ensure_ascii=False)[1:-1]
        before = "" if tools.only else _quoted(f"{written}{form.arguments}")
        heads.append(f"{before} arguments_{number} {end}".strip())
        schema = {**arguments_schema(tool, number), "x-guidance": {"whitespace_flexible": False}}
        rules.append(f"arguments_{number}: %json {json.dumps(schema, ensure_ascii=False)}")
    text = "\n".join([f"start: {' | '.join(heads)}", *rules])
    if len(text) > MAX_TEXT:
        raise wrong("tools", f"have {len(text)} characters together, and {MAX_TEXT} are possible")
    return Form("grammar", f"%llguidance {{}}\n{text}", "tools")


def arguments_schema(tool: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return the schema of a function's arguments, which are an object.

    Arguments that it does not name are left out, unless it says something of them: a small model
    would go on and on.
    """
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    return {**closed, **parameters(tool, number)}


def parameters(tool: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return what a function says of its arguments.

    :raises InvalidParams: that is no schema.
    """
    given = tool["function"].get("parameters")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise wrong(f"tools[{number}].function.parameters", "must be a JSON schema")
    return given


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
