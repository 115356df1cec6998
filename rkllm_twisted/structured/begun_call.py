"""The form of the rest of a tool call that the model has begun by itself. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from rkllm_twisted.chat.segments import split_marks
from rkllm_twisted.chat.tool_calls import OpenCall
from rkllm_twisted.chat.tool_formats import ToolFormat
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.structured.form import Form
from rkllm_twisted.structured.tool_form import call_form

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
