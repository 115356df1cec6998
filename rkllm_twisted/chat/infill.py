"""Fill-in-the-middle: the prompt for a text between two given texts."""

from __future__ import annotations

from rkllm_twisted.chat.families import InfillMarks
from rkllm_twisted.chat.segments import Mark, Pieces, merged
from rkllm_twisted.errors import InvalidParams


def infill(marks: InfillMarks | None, prefix: str, suffix: str) -> Pieces:
    """Return the prompt for the text between two given texts.

    :param marks: the model's marks; None if the model has none.
    :param prefix: the text before the gap.
    :param suffix: the text after the gap. If it is empty, no marks are needed.
    :raises InvalidParams: there is a suffix, but the model has no marks.
    """
    if not suffix:
        return merged([prefix])
    if marks is None:
        raise InvalidParams(
            "suffix: no marks are known that ask this model to fill a gap; leave suffix out, or put"
            " the marks into its rkllm.toml, below [infill].",
            {"parameter": "suffix"},
        )
    before, behind = [_mark(marks.prefix), prefix], [_mark(marks.suffix), suffix]
    order = [*behind, *before] if marks.suffix_first else [*before, *behind]
    return merged([*order, _mark(marks.middle)])


def _mark(text: str) -> Mark | str:
    return Mark(text) if text else ""
