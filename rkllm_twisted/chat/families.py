"""The marks of model families: the rows of :mod:`.family_table`, and the search for a row."""

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

    :param opened: True if the template writes the opening mark itself, so that the model writes
        the closing one only.
    """

    open: str = "<think>"
    close: str = "</think>"
    opened: bool = False


@attrs.frozen
class InfillMarks:
    """The marks of fill-in-the-middle.

    :param suffix_first: True if the text after the gap is read first.
    """

    prefix: str
    suffix: str
    middle: str = ""
    suffix_first: bool = False


@attrs.frozen
class ImageMarks:
    """The texts around an image's rows, as ``rkllm_set`` calls and multimodal inputs want them."""

    start: str
    content: str
    end: str


@attrs.frozen
class Family:
    """The prompt format of one model family.

    :param models: beginnings of models' names, lower case; the longest that fits decides.
    :param begin: the text before the first message.
    :param system: None if there is no system message: its text then opens the user's.
    :param tool: the marks around a tool's result.
    :param call: the marks around the calls of an earlier answer, in the form of ``tool_format``.
    :param end_tokens: texts of the tokens that end an answer.
    :param tool_format: a row of :mod:`.tool_formats`.
    :param alternates: True if user and assistant must take turns.
    :param source: the source of the facts in the row.
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
    alternates: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """The control tokens among the texts of the row, longest first: no text may hold them."""
        wraps = (self.system, self.user, self.assistant, self.tool)
        texts = [self.begin, *self.end_tokens]
        texts += [text for wrap in wraps if wrap for text in (wrap.prefix, wrap.postfix)]
        if self.reasoning:
            texts += [self.reasoning.open, self.reasoning.close]
        return marks_in(*texts)


#: The forms of control tokens: ``<|im_start|>``, ``<bos>``, ``<｜User｜>``, ``[INST]``.
_MARK = re.compile(r"<[|｜]?/?[\w▁/.-]{1,40}[|｜]?>|\[/?[A-Z][A-Z_]{2,30}\]")


def marks_in(*texts: str) -> tuple[str, ...]:
    """Return the texts that look like control tokens in a template's own texts, longest first."""
    found = {mark for text in texts for mark in _MARK.findall(text)}
    return tuple(sorted(found, key=lambda mark: (-len(mark), mark)))


def named(name: str, families: Iterable[Family]) -> Family | None:
    """Return the family that a file of a model's folder names, e.g. ``family = "chatml"``."""
    return next((family for family in families if family.name == name), None)


def family_of(model: str, families: Iterable[Family]) -> Family | None:
    """Return the family of a model by its name, or None.

    :param model: the name of a model or its file, e.g. ``Qwen3-1.7B-rk3588-w8a8``.
    """
    name = model.rsplit("/", 1)[-1].lower().replace("_", "-")
    rows = [(len(start), row) for row in families for start in row.models if name.startswith(start)]
    return max(rows, key=lambda found: found[0])[1] if rows else None
