"""The marks of model families: the rows of :mod:`.family_table`, and how a row is found."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs


@attrs.frozen
class Wrap:
    """The texts before and after a message of one role."""

    prefix: str
    postfix: str = ""


@attrs.frozen
class ReasoningMarks:
    """The marks around a model's reasoning.

    :param open: the mark before the reasoning.
    :param close: the mark after the reasoning.
    :param opened: True if the template writes the opening mark. The model then writes only the
        closing mark.
    """

    open: str = "<think>"
    close: str = "</think>"
    opened: bool = False


@attrs.frozen
class InfillMarks:
    """The marks of fill-in-the-middle.

    :param prefix: the mark before the text that precedes the gap.
    :param suffix: the mark before the text that follows the gap.
    :param middle: the mark at the end of the prompt; empty if the model has none.
    :param suffix_first: True if the text that follows the gap comes first in the prompt.
    :param models: beginnings of the names of those models of a family that have learnt it; empty
        for all.
    """

    prefix: str
    suffix: str
    middle: str = ""
    suffix_first: bool = False
    models: tuple[str, ...] = ()


@attrs.frozen
class InfillTokens:
    """The same as ids, as a GGUF file has them."""

    prefix: int
    suffix: int
    middle: int


@attrs.frozen
class ImageMarks:
    """The texts around an image's rows, for the runtime's calls and its multimodal input."""

    start: str
    content: str
    end: str


@attrs.frozen
class Family:
    """The prompt format of one model family.

    :param models: beginnings of models' names in lower case. If several fit a name, the longest
        decides.
    :param user: the texts around a user's message.
    :param assistant: the texts around an answer.
    :param source: the source of the facts in this row.
    :param system: the texts around a system message. If None, the family has no system message,
        and the system text goes to the beginning of the first user message.
    :param tool: the texts around a tool's result; None if the family has no such message.
    :param begin: the text before the first message.
    :param end_tokens: the texts of the tokens that end an answer.
    :param tool_format: the name of a row of :mod:`.tool_formats`.
    :param alternates: True if user and assistant have to take turns.
    :param image: the texts around an image's rows; None if its models read none.
    :param image_outputs: the numbers of outputs that its encoders may have; more than one output is
        deepstack.
    :param stretches_images: True if its encoders take an image stretched, not padded.
    """

    name: str
    models: tuple[str, ...]
    user: Wrap
    assistant: Wrap
    source: str
    system: Wrap | None = None
    tool: Wrap | None = None
    begin: str = ""
    end_tokens: tuple[str, ...] = ()
    reasoning: ReasoningMarks | None = None
    tool_format: str = "fenced"
    infill: InfillMarks | None = None
    image: ImageMarks | None = None
    image_outputs: tuple[int, ...] = (1,)
    alternates: bool = False
    stretches_images: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """The control tokens in the texts of the row, longest first. No message may write them."""
        wraps = (self.system, self.user, self.assistant, self.tool)
        texts = [self.begin, *self.end_tokens]
        texts += [text for wrap in wraps if wrap for text in (wrap.prefix, wrap.postfix)]
        if self.reasoning:
            texts += [self.reasoning.open, self.reasoning.close]
        return marks_in(*texts)


#: The usual forms of control tokens: ``<|im_start|>``, ``<bos>``, ``<｜User｜>``, ``[INST]``.
_MARK = re.compile(r"<[|｜]?/?[\w▁/.-]{1,40}[|｜]?>|\[/?[A-Z][A-Z_]{2,30}\]")


def marks_in(*texts: str) -> tuple[str, ...]:
    """Return all texts that look like control tokens in a template's own texts, longest first."""
    found = {mark for text in texts for mark in _MARK.findall(text)}
    return tuple(sorted(found, key=lambda mark: (-len(mark), mark)))


def named(name: str, families: Iterable[Family]) -> Family | None:
    """Return the family with a name, or None.

    A file in a model's folder can give the name, e.g. ``family = "chatml"``.
    """
    return next((family for family in families if family.name == name), None)


def family_of(model: str, families: Iterable[Family]) -> Family | None:
    """Return the family of a model by its name, or None.

    :param model: the name of a model or of its file, e.g. ``Qwen3-1.7B-rk3588-w8a8``.
    """
    name = _plain(model)
    rows = [(len(start), row) for row in families for start in row.models if name.startswith(start)]
    return max(rows, key=lambda found: found[0])[1] if rows else None


def infill_of(model: str, family: Family) -> InfillMarks | None:
    """Return the marks of fill-in-the-middle of a model, or None.

    :param model: see :func:`family_of`.
    :param family: its family.
    """
    marks = family.infill
    if marks is None or (marks.models and not _plain(model).startswith(marks.models)):
        return None
    return marks


def _plain(model: str) -> str:
    return model.rsplit("/", 1)[-1].lower().replace("_", "-")
