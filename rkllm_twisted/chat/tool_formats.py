"""The table of the forms of tool calls. The parser for all of them is :mod:`.tool_calls`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import attrs

from rkllm_twisted.chat.families import marks_in


@attrs.frozen
class ToolFormat:
    """A form of tool calls.

    :param name: the name of this form.
    :param begin: the text of a call before the function's name.
    :param arguments: the text of a call between the function's name and the arguments.
    :param end: the text of a call after the arguments. It is used if an earlier call is shown to
        the model again.
    :param opens: the marks that begin a call or a list of calls.
    :param closes: the marks that may follow a call or a list, in any order. They are dropped.
    :param bare: True if a JSON object without a mark can be a call, at the very beginning of the
        answer.
    :param header: a pattern for the text between the mark and the object, if the function's name
        (group ``name``) can stand there; otherwise None. The object then holds only the arguments.
    :param special: True if the opening marks may be special tokens of the model. The runtime leaves
        these out of the text unless the model was loaded with ``skip_special_token`` = false, and
        a call cannot be told without them.
    """

    name: str
    begin: str
    arguments: str
    end: str
    opens: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    bare: bool = False
    header: re.Pattern[str] | None = None
    special: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """The control tokens in the texts of this form."""
        return marks_in(*self.opens, *self.closes, self.begin, self.arguments, self.end)

    def write(self, name: str, arguments: str) -> str:
        """Return a call as the model itself would write it."""
        return f"{self.beginning(name)}{arguments}{self.end}"

    def beginning(self, name: str | None) -> str:
        """Return a beginning for the answer, which forces the model to write a call.

        :param name: the name of the function, or None if the model is to choose.
        """
        if name is None:
            return self.begin
        return f"{self.begin}{json.dumps(name, ensure_ascii=False)[1:-1]}{self.arguments}"


_NAME = r"(?P<name>[\w.-]{1,64})"
#: In characters. No header is longer. If no object has begun after so much text, it is no call.
MAX_HEADER_CHARACTERS = 200

TOOL_FORMATS: Mapping[str, ToolFormat] = {
    row.name: row
    for row in (
        ToolFormat(  # Nous Hermes 2 Pro's function calling; Qwen2.5's and Qwen3's templates
            "hermes",
            opens=("<tool_call>",),
            closes=("</tool_call>",),
            begin='<tool_call>\n{"name": "',
            arguments='", "arguments": ',
            end="}\n</tool_call>",
        ),
        ToolFormat(  # Meta, Llama 3.1 prompt formats, JSON based tool calling
            "llama3",
            opens=("<|python_tag|>",),
            closes=(";", "<|eom_id|>"),
            bare=True,
            begin='{"name": "',
            arguments='", "parameters": ',
            end="}",
        ),
        ToolFormat(  # mistral-common: v3 writes a list, v11 and later NAME[ARGS]{…}
            "mistral",
            special=True,
            opens=("[TOOL_CALLS]",),
            header=re.compile(rf"\s*{_NAME}\s*(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*"),
            begin='[TOOL_CALLS][{"name": "',
            arguments='", "arguments": ',
            end="}]",
        ),
        ToolFormat(  # DeepSeek-R1's and V3.1's templates
            "deepseek",
            special=True,
            opens=("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"),
            closes=("```", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"),
            header=re.compile(
                r"\s*(?:<｜tool▁call▁begin｜>)?(?:function<｜tool▁sep｜>)?"
                rf"{_NAME}\s*(?:<｜tool▁sep｜>|```json)?\s*"
            ),
            begin="<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
            arguments="\n```json\n",
            end="\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        ToolFormat(  # Phi-4-mini-instruct's model card; its weights also write functools[…]
            "phi",
            special=True,
            opens=("<|tool_call|>", "functools"),
            closes=("<|/tool_call|>",),
            begin='<|tool_call|>[{"name": "',
            arguments='", "arguments": ',
            end="}]<|/tool_call|>",
        ),
        ToolFormat(  # InternLM/InternLM, chat/chat_format.md
            "internlm",
            special=True,
            opens=("<|action_start|><|plugin|>",),
            closes=("<|action_end|>",),
            begin='<|action_start|><|plugin|>\n{"name": "',
            arguments='", "parameters": ',
            end="}<|action_end|>",
        ),
        ToolFormat(  # Google, function calling with Gemma; also what .tools asks other models for
            "fenced",
            opens=("```json", "```tool_call", "```tool_code", "```\n"),
            closes=("```",),
            bare=True,
            begin='```json\n{"name": "',
            arguments='", "parameters": ',
            end="}\n```",
        ),
    )
}


def special_format(template: str | None) -> ToolFormat | None:
    """Return the form of calls with special tokens that a template shows, or None.

    :param template: the text of a chat template.
    """
    rows = TOOL_FORMATS.values() if template else ()
    special = (row for row in rows if row.special)
    return next((row for row in special if any(mark in str(template) for mark in row.opens)), None)
