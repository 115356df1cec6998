"""A sandboxed Jinja environment, with everything from transformers that chat templates expect.

A template comes with a model, so it is not trusted. It cannot reach Python, and it cannot change
the values that it is given. Its output is bounded. But it can loop for ever, or double a text until
the memory is full. So render in a process that can be ended.

The following are from huggingface/transformers, ``utils/chat_template_utils.py``: the options of
the environment, the filter ``tojson``, the functions ``raise_exception`` and ``strftime_now``, and
the tag ``generation``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

#: In characters. The templates of known models have 300 to 20,000.
MAX_TEMPLATE_CHARACTERS = 1024 * 1024
#: In characters. The rendered text holds the whole conversation.
MAX_RENDERED_CHARACTERS = 64 * 1024 * 1024
#: Filters that do not show their arguments, but compare, cut or search a text with them.
_NOT_SHOWN = {"replace", "trim", "select", "selectattr", "reject", "rejectattr", "map", "groupby"}


class RefusedError(Exception):
    """The template refuses the conversation. The error's text is the template's own."""


class BrokenTemplateError(Exception):
    """The template cannot be used. The error's text says why."""


class _Generation(Extension):
    """The tag ``{% generation %}``, which marks answers for training. Here it shows its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Refuses a product that makes a text or list too long, and a power that is too large."""

    intercepted_binops = frozenset(["*", "**"])

    def call_binop(
        self,
        context: Any,
        operator: str,
        left: Any,
        right: Any,
    ) -> Any:
        longest = max(len(one) for one in (left, right, "") if isinstance(one, str | list | tuple))
        times = max(one for one in (left, right, 0) if isinstance(one, int | float))
        if (longest and longest * times > MAX_RENDERED_CHARACTERS) or (
            operator == "**" and times > 64
        ):
            raise BrokenTemplateError(f"an operation, {operator}, has too large a result")
        return super().call_binop(context, operator, left, right)


def _environment() -> _Sandbox:
    environment = _Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON without escapes for HTML, which Jinja's own filter adds."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: object) -> NoReturn:
    raise RefusedError(str(message))


#: The errors that a template's own code can cause.
_FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
#: What Jinja says of a variable that holds a control token.
_SPECIAL = re.compile(r"'\w+_token' is undefined")
#: A function that changes a text of the template's source.
Repaint = Callable[[str], str]


class Program:
    """A compiled template.

    :param source: the template's source.
    :param repaint: a function that changes each text in the source that the template can show. A
        text that the template only compares with something is not changed.
    :raises BrokenTemplateError: the template cannot be compiled.
    """

    def __init__(self, source: str, repaint: Repaint) -> None:
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise BrokenTemplateError(
                f"it has {len(source)} characters, more than {MAX_TEMPLATE_CHARACTERS}"
            )
        environment = _environment()
        try:
            tree = environment.parse(source)
            _repaint(tree, repaint, shown=True)
            code = environment.compile(tree)
        except (jinja2.TemplateError, SyntaxError, RecursionError, ValueError) as error:
            raise BrokenTemplateError(f"{type(error).__name__}: {error}") from error
        self._template = environment.template_class.from_code(
            environment, code, environment.make_globals(None)
        )

    def run(self, variables: Mapping[str, object], now: datetime) -> str:
        """Return the rendered text.

        :param now: the time that ``strftime_now`` shows.
        :raises RefusedError: the template called ``raise_exception``.
        :raises BrokenTemplateError: the template failed, or wrote too much.
        """
        written, pieces = 0, []
        try:
            for piece in self._template.generate({**variables, "strftime_now": now.strftime}):
                written += len(piece)
                if written > MAX_RENDERED_CHARACTERS:
                    raise BrokenTemplateError(
                        f"it writes more than {MAX_RENDERED_CHARACTERS} characters"
                    )
                pieces.append(piece)
        except _FAULTS as error:
            raise BrokenTemplateError(_reason(error)) from error
        return "".join(pieces)


def _reason(error: BaseException) -> str:
    if isinstance(error, jinja2.UndefinedError) and _SPECIAL.search(str(error)):
        return f"{error}; put the model's tokenizer_config.json, which has it, beside the model"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    return f"{type(error).__name__}: {error}"


def _repaint(node: nodes.Node, repaint: Repaint, *, shown: bool) -> None:
    """Change the texts in a syntax tree that the template can show."""
    if isinstance(node, nodes.TemplateData):
        node.data = repaint(node.data)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str) and shown:
        node.value = repaint(node.value)
    hidden = _hidden_in(node)
    for child in node.iter_child_nodes():
        _repaint(child, repaint, shown=shown and not any(child is one for one in hidden))


def _hidden_in(node: nodes.Node) -> list[nodes.Node]:
    """Return the child nodes whose value is compared or searched for, but not shown."""
    match node:
        case nodes.Compare() | nodes.Test():
            return list(node.iter_child_nodes())
        case nodes.Call(node=nodes.Getattr()):  # content.split('</think>')
            return [*node.args, *node.kwargs]
        case nodes.Filter() if node.name in _NOT_SHOWN:
            return [*node.args, *node.kwargs]
        case nodes.Getitem():
            return [node.arg]
        case nodes.Pair():
            return [node.key]
        case _:
            return []
