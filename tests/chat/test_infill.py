"""Fill-in-the-middle has the marks of the model."""

from __future__ import annotations

import pytest

from rkllm_twisted.chat.families import InfillMarks
from rkllm_twisted.chat.infill import infill
from rkllm_twisted.chat.segments import Mark
from rkllm_twisted.errors import InvalidParams


def test_what_is_between_two_texts_is_asked_in_the_models_marks() -> None:
    marks = InfillMarks("<p>", "<s>", "<m>")
    assert infill(marks, "a<s>", "b") == (Mark("<p>"), "a<s>", Mark("<s>"), "b", Mark("<m>"))
    first = InfillMarks("[PREFIX]", "[SUFFIX]", suffix_first=True)
    assert infill(first, "a", "b") == (Mark("[SUFFIX]"), "b", Mark("[PREFIX]"), "a")


def test_without_marks_there_is_nothing_to_fill_in() -> None:
    assert infill(None, "a", "") == ("a",)
    with pytest.raises(InvalidParams, match=r"leave suffix out, or .* below \[infill\]"):
        infill(None, "a", "b")
