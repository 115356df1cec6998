"""The files beside a model, for chat. They are read once, when the model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum

import attrs

from rkllm_twisted.chat.families import Family, ReasoningMarks, marks_in
from rkllm_twisted.chat.renderers import FamilyRenderer, Renderer, TemplateRenderer
from rkllm_twisted.chat.template import ChatTemplate, ITemplate
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS, ToolFormat
from rkllm_twisted.chat.tools import INSTRUCTION_FORMAT
from rkllm_twisted.chat.vocabulary import Vocabulary


class Tier(Enum):
    """The ways to feed conversations to a model, the best first. They are tiers A, B and C."""

    TOKENS = "tokens"
    TEMPLATE = "template"
    RUNTIME = "runtime"


@attrs.frozen(eq=False)
class ChatModel:
    """What chat knows of one loaded model.

    :param key: a text that no other model has, e.g. the digest of the file.
    :param context: how many tokens the cache has room for (``max_context_len``).
    :param family: the model's family; None if unknown.
    :param renderer: the renderer of prompts; None if neither a template nor the family is known.
    :param vocabulary: the tokenizer; None if there is no ``tokenizer.json``.
    :param end_tokens: the texts of the tokens that end an answer, if the runtime may go on after
        such a token.
    :param reasoning: the marks around the reasoning; None if the model has none.
    :param tool_format: the form of the model's tool calls.
    """

    key: str
    context: int
    family: Family | None = None
    renderer: Renderer | None = None
    vocabulary: Vocabulary | None = None
    end_tokens: tuple[str, ...] = ()
    reasoning: ReasoningMarks | None = None
    tool_format: ToolFormat = INSTRUCTION_FORMAT

    @property
    def tier(self) -> Tier:
        """The way to feed conversations to this model."""
        if self.renderer is None:
            return Tier.RUNTIME
        return Tier.TOKENS if self.vocabulary is not None else Tier.TEMPLATE


OpenTemplate = Callable[[str, Iterable[str], Mapping[str, str]], ITemplate]


def chat_model(
    key: str,
    context: int,
    *,
    family: Family | None = None,
    template: str | None = None,
    vocabulary: Vocabulary | None = None,
    specials: Mapping[str, str] | None = None,
    end_tokens: tuple[str, ...] = (),
    open_template: OpenTemplate = ChatTemplate,
) -> ChatModel:
    """Return what chat knows of a model.

    :param key: see :class:`ChatModel`, also for the parameters that are not listed here.
    :param template: the text of ``chat_template.jinja``, or None.
    :param open_template: a function that makes a template from its text, the control tokens and the
        variables.
    :param specials: variables such as ``bos_token`` from ``tokenizer_config.json``.
    :raises InvalidParams: the template cannot be used.
    :raises ExtraMissingError: jinja2 is not installed.
    """
    specials = specials or {}
    renderer: Renderer | None = None
    if template is not None:
        marks = vocabulary.control if vocabulary else marks_in(template, *specials.values())
        renderer = TemplateRenderer(open_template(template, marks, specials))
    elif family is not None:
        renderer = FamilyRenderer(family, vocabulary.control if vocabulary else None)
    return ChatModel(
        key,
        context,
        family,
        renderer,
        vocabulary,
        end_tokens,
        _reasoning(family, template),
        _tool_format(family, template, renderer),
    )


def _reasoning(family: Family | None, template: str | None) -> ReasoningMarks | None:
    if family is not None and family.reasoning is not None:
        return family.reasoning
    marks = ReasoningMarks()
    return marks if template is not None and marks.close in template else None


def _tool_format(
    family: Family | None, template: str | None, renderer: Renderer | None
) -> ToolFormat:
    """Return the form of the calls. It is the instruction's if the template cannot show tools."""
    if renderer is None or not renderer.abilities.tools:
        return INSTRUCTION_FORMAT
    if family is not None:
        return TOOL_FORMATS[family.tool_format]
    return (
        next(
            (
                form
                for form in TOOL_FORMATS.values()
                if any(mark in template for mark in form.opens)
            ),
            TOOL_FORMATS["llama3"],  # without a mark, bare JSON with "parameters" is most common
        )
        if template
        else INSTRUCTION_FORMAT
    )


def read_specials(config: Mapping[str, object]) -> Mapping[str, str]:
    """Return the variables of a decoded ``tokenizer_config.json`` that hold control tokens."""
    found: dict[str, str] = {}
    for name, value in config.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
