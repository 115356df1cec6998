"""The model that a name refers to."""

from __future__ import annotations

import pytest

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.models.names import NameIndex, is_usable

INDEX = NameIndex(
    ["Qwen3-1.7B", "smollm2", "Tiny", "tiny", "org/a", "org/b"],
    {
        "qwen": ["Qwen3-1.7B"],
        "both": ["Tiny", "tiny"],
        "smollm2": ["Qwen3-1.7B"],
        "GPT": ["Qwen3-1.7B"],
        "Gpt": ["smollm2"],
    },
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Qwen3-1.7B", "Qwen3-1.7B"),
        ("qwen3-1.7b", "Qwen3-1.7B"),
        ("QWEN", "Qwen3-1.7B"),
        ("tiny", "tiny"),
        ("Tiny", "Tiny"),
        ("org/a", "org/a"),
        ("smollm2", "smollm2"),  # a name goes before an alias
        ("Gpt", "smollm2"),
    ],
)
def test_a_name_means_a_model(wanted: str, found: str) -> None:
    assert INDEX.find(wanted) == found


@pytest.mark.parametrize(
    ("wanted", "message", "close"),
    [
        ("TINY", "'TINY' may be Tiny or tiny; write the name of one", ["Tiny", "tiny"]),
        ("both", "'both' may be Tiny or tiny; write the name of one", ["Tiny", "tiny"]),
        ("gPT", "'gPT' may be Qwen3-1.7B or smollm2;", ["Qwen3-1.7B", "smollm2"]),
        ("smolm2", "There is no model 'smolm2'; perhaps smollm2 is meant.", ["smollm2"]),
        ("Qwen3", "There is no model 'Qwen3'; perhaps Qwen3-1.7B", ["Qwen3-1.7B", "qwen"]),
        ("smollm2.gguf", "There is no model 'smollm2.gguf'; perhaps smollm2", ["smollm2"]),
        ("zzzz", "There is no model 'zzzz'; models.list has those that there are.", []),
        ("", "There is no model ''; models.list has those that there are.", []),
        ("../../etc/passwd", "There is no model '../../etc/passwd'; models.list", []),
        ("\ud800", "There is no model '\\ud800'; models.list", []),
    ],
)
def test_a_name_that_means_none_or_several_says_which_there_are(
    wanted: str, message: str, close: list[str]
) -> None:
    with pytest.raises(InvalidParams) as caught:
        INDEX.find(wanted)
    assert caught.value.message.startswith(message)
    assert caught.value.data == {"parameter": "model", "close": close}


def test_a_name_of_any_length_makes_a_short_error() -> None:
    with pytest.raises(InvalidParams) as caught:
        INDEX.find("x" * 100_000)
    assert len(caught.value.message) < 300


def test_without_models_the_error_says_so() -> None:
    with pytest.raises(InvalidParams, match="no model lies in --model-dir"):
        NameIndex([], {}).find("qwen")


@pytest.mark.parametrize("name", ["a", "A b", "org/model:tag", "Qwen3-1.7B", "模型", "-x", "a..b"])
def test_a_usable_name(name: str) -> None:
    assert is_usable(name)


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a\n", "a\tb", "..", "../a", "a/..", "/a", "a//b", "x" * 512, "\udcff"]
)
def test_a_name_that_is_not_usable(name: str) -> None:
    assert not is_usable(name)
