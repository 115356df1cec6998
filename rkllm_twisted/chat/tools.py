"""The tools of a request, which are read from JSON.

The JSON has OpenAI's form (chat completions API, "tools" and "tool_choice"). If a model's template
cannot show tools, an instruction describes them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import attrs

from rkllm_twisted.chat.messages import Conversation, Message, Text, say, shown, wrong
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS, ToolFormat

CHOICES = ("none", "auto", "required")


@attrs.frozen
class Tools:
    """The functions that the model may call.

    :param definitions: the client's objects, unchanged, for templates.
    :param names: the names of the functions.
    :param required: True if the answer has to be a call.
    :param only: the name of the function that has to be called, if the client gave one.
    """

    definitions: tuple[Mapping[str, Any], ...] = ()
    names: frozenset[str] = frozenset()
    required: bool = False
    only: str | None = None

    def __bool__(self) -> bool:
        return bool(self.definitions)


NO_TOOLS = Tools()


def read_tools(tools: object, choice: object = None) -> Tools:
    """Read ``tools`` and ``tool_choice``.

    :raises InvalidParams: a value is wrong; the error names its place.
    """
    if tools is not None and (not isinstance(tools, Sequence) or isinstance(tools, str)):
        raise wrong("tools", f"must be an array of tools, not {shown(tools)}")
    definitions = tuple(tools or ())
    names = [_name_of(tool, f"tools[{number}]") for number, tool in enumerate(definitions)]
    name, times = max(Counter(names).items(), key=itemgetter(1), default=("", 1))
    if times > 1:
        raise wrong("tools", f"two functions have the name {shown(name)}")
    return _chosen(Tools(definitions, frozenset(names)), choice)


def _name_of(tool: object, place: str) -> str:
    if not isinstance(tool, Mapping) or tool.get("type", "function") != "function":
        raise wrong(f"{place}.type", "must be function")
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name:
        raise wrong(f"{place}.function.name", "is missing")
    return name


def _chosen(tools: Tools, choice: object) -> Tools:
    match choice:
        case None | "auto":
            return tools
        case "none":
            return NO_TOOLS
        case "required" if tools:
            return attrs.evolve(tools, required=True)
        case {"function": {"name": str(name)}} if name in tools.names:
            return attrs.evolve(tools, required=True, only=name)
        case "required" | {"function": {"name": str(_)}}:
            raise wrong("tool_choice", f"{shown(choice)} is none of the tools of this request")
        case _:
            known = ", ".join(CHOICES)
            raise wrong("tool_choice", f"must be one of {known} or name a function")


#: The form of calls for models whose template cannot show tools.
INSTRUCTION_FORMAT = TOOL_FORMATS["fenced"]


def schemas(tools: Tools) -> str:
    """Return the functions as JSON, each on a line."""
    return "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools.definitions)


def around_schemas(form: ToolFormat) -> tuple[str, str]:
    """Return the two parts of the instruction: the text before the schemas and the text after them.

    :param form: the form that the calls are to have.
    """
    example = form.write("the function's name", '{"argument": "value"}')
    return (
        "You can call functions. They are, as JSON schemas:\n",
        f"\nTo call one, answer with nothing but this:\n{example}\n"
        "If no function is needed, answer as usual.",
    )


def instruction(tools: Tools, form: ToolFormat = INSTRUCTION_FORMAT) -> str:
    """Return the whole instruction, which tells a model how to call tools."""
    return schemas(tools).join(around_schemas(form))


def with_instruction(messages: Conversation, tools: Tools) -> Conversation:
    """Return the conversation with the instruction for tools in its system message."""
    return add_to_system(messages, instruction(tools))


def add_to_system(messages: Conversation, text: str) -> Conversation:
    """Return the conversation with a text at the end of its first message, if that is a system one.

    Otherwise the text becomes a system message at the beginning.
    """
    if messages[0].role != "system":
        return (say("system", text), *messages)
    first = attrs.evolve(messages[0], parts=(*messages[0].parts, Text(f"\n\n{text}")))
    return (first, *messages[1:])


def as_text(message: Message) -> Message:
    """Return a message with calls, or with a tool's result, as text that any template can show.

    The calls get the form of :data:`INSTRUCTION_FORMAT`. A result becomes a user's message.
    """
    if message.role == "tool":
        return say("user", f"Result of {message.name or 'the function'}:\n{message.text}")
    calls = (INSTRUCTION_FORMAT.write(call.name, call.arguments) for call in message.tool_calls)
    text = "\n".join(filter(None, (message.text, *calls)))
    return attrs.evolve(message, parts=(Text(text),), tool_calls=())
