"""The forms of tool calls that the model may begin by itself. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.segments import split_marks
from rkllm_twisted.chat.tool_calls import OpenCall
from rkllm_twisted.chat.tool_formats import ToolFormat
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.structured.form import Form
from rkllm_twisted.structured.tool_form import arguments_schema, call_form

#: The characters that mean something in a pattern.
_SPECIAL = frozenset("\\.+*?()|[]{}^$/#&-~")
#: Models write either name of the arguments.
_KEYS = ("arguments", "parameters")


def rest_of_call(
    tools: Tools,
    form: ToolFormat,
    call: OpenCall,
    held: str,
    control: Mapping[str, int],
    *,
    flexible: bool = False,
) -> Form:
    """Return the form of the rest of a call.

    :param held: the text before :attr:`OpenCall.past` that shares a token with it.
    :param control: the model's control tokens, by their texts.
    :param flexible: True if the call may be written more tersely than the model's template does.
    """
    parts = [json.dumps(held, ensure_ascii=False)] if held else []
    for piece in split_marks(call.rest, control):
        if not isinstance(piece, str):
            parts.append(f"<[{control[piece.text]}]>")
        elif flexible:
            parts.append(f"/{_flexible(piece)}/")
        else:
            parts.append(json.dumps(piece, ensure_ascii=False))
    whole = call_form(attrs.evolve(tools, only=call.name), form)
    begun = f"\nstart: {' '.join([*parts, 'rest'])}\nrest: "
    return attrs.evolve(whole, text=whole.text.replace("\nstart: ", begun, 1))


def call_or(form: Form, tools: Tools, calls: ToolFormat, control: Mapping[str, int]) -> Form:
    """Return the form of an answer that is a call or has another form.

    :param calls: the form of the model's calls.
    :raises InvalidParams: the other form is a grammar, or all together are too long.
    """
    if calls.begin.startswith("{"):
        return _object_or(form, tools)
    call = rest_of_call(tools, calls, OpenCall(None, calls.begin, ""), "", control)
    begun = f"\nstart: other | call\nother: {_in_grammar(form)}\ncall: "
    return attrs.evolve(call, text=call.text.replace("\nstart: ", begun, 1))


def _object_or(form: Form, tools: Tools) -> Form:
    """Return the same, if a call is a JSON object without a mark.

    Both may then begin alike, which only works if both are JSON to the engine.
    """
    called = " | ".join(f"%json {json.dumps(one, ensure_ascii=False)}" for one in _objects(tools))
    text = f"%llguidance {{}}\nstart: other | call\nother: {_in_grammar(form)}\ncall: {called}"
    return Form("grammar", text, "tools")


#: The members of a schema that its other parts refer to.
_SHARED = ("$defs", "definitions")


def _objects(tools: Tools) -> Iterator[Mapping[str, Any]]:
    """Yield the schema of a call of each function, with what its parts refer to at the top."""
    for number, tool in enumerate(tools.definitions):
        arguments = dict(arguments_schema(tool, number))
        shared: dict[str, Any] = {key: arguments.pop(key) for key in _SHARED if key in arguments}
        yield {
            "type": "object",
            "properties": {"name": {"const": tool["function"]["name"]}, "parameters": arguments},
            "required": ["name", "parameters"],
            "additionalProperties": False,
            "x-guidance": {"whitespace_flexible": False},
            **shared,
        }


def _in_grammar(form: Form) -> str:
    """Return what stands for a form in a grammar."""
    match form.kind:
        case "schema":
            how = {"x-guidance": {"whitespace_flexible": form.flexible}}
            return f"%json {json.dumps({**json.loads(form.text), **how}, ensure_ascii=False)}"
        case "regex":
            return f"/{_REGEX_PART.sub(_escaped, form.text)}/"
        case "choices":
            return " | ".join(json.dumps(one) for one in json.loads(form.text))
        case _:
            raise wrong(form.place, "a grammar cannot be combined with tools; leave them out")


#: What cannot stand in a pattern between slashes, and what is escaped already.
_REGEX_PART = re.compile(r"\\.|/|\n", re.DOTALL)


def _escaped(found: re.Match[str]) -> str:
    return {"/": "\\/", "\n": "\\n"}.get(found[0], found[0])


def _flexible(text: str) -> str:
    """Return a pattern of a text whose white space may be left out."""
    made = ""
    for letter in text:
        if letter in " \n":
            made += "\\n?" if letter == "\n" else " ?"
        else:
            made += f"\\{letter}" if letter in _SPECIAL else letter
    for key in _KEYS:
        made = made.replace(f'"{key}"', f'"({"|".join(_KEYS)})"')
    return made
