"""The rules about several fields: the input's union, counts and lengths, images."""

from __future__ import annotations

from typing import Any

import pytest

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.to_c import ArgumentBuilder
from rkllm_twisted.errors import InvalidParams

IMAGE = {"image_embed": [0.5] * 6, "n_image_tokens": 2, "n_image": 1, "image_width": 4}


def make(name: str, value: Any, release: str = "1.3.0") -> tuple[Any, ArgumentBuilder]:
    """Make a structure; the ArgumentBuilder keeps its pointers' targets alive."""
    call = ArgumentBuilder(layout_of(releases()[release]))
    return call.structure(name, "x", value), call


@pytest.mark.parametrize(
    ("input_type", "value"),
    [
        (0, {"prompt_input": "hi"}),
        ("RKLLM_INPUT_TOKEN", {"token_input": {"input_ids": [1], "n_tokens": 1}}),
        (2, {"embed_input": {"embed": [1], "n_tokens": 1}}),
        (3, {"multimodal_input": {"prompt": "hi"}}),
    ],
)
def test_the_member_of_the_input_type(input_type: Any, value: dict[str, Any]) -> None:
    """Each input type takes its own member of the union."""
    made, _ = make("RKLLMInput", {**value, "input_type": input_type})
    assert made.input_type == releases()["1.3.0"].enums["RKLLMInputType"].get(
        input_type, input_type
    )


def test_a_null_member_does_not_undo_the_one_that_is_set() -> None:
    """The members share their bytes: a null of another one, even behind it, changes nothing."""
    nulls = {"token_input": None, "embed_input": None, "multimodal_input": None}
    made, _ = make("RKLLMInput", {"prompt_input": "hi", **nulls})
    assert made.prompt_input == b"hi"
    tokens = {"input_ids": [7], "n_tokens": 1}
    made, _ = make("RKLLMInput", {"input_type": 1, "token_input": tokens, "prompt_input": None})
    assert made.token_input.input_ids[0] == 7


def test_without_an_input_type_it_is_a_prompt() -> None:
    """Zero is RKLLM_INPUT_PROMPT."""
    made, _ = make("RKLLMInput", {"prompt_input": "hi"})
    assert made.input_type == 0


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({}, r"x\.prompt_input: is missing, but input_type is 0 \(RKLLM_INPUT_PROMPT\)"),
        ({"input_type": 1}, r"x\.token_input: is missing"),
        ({"prompt_input": None}, r"x\.prompt_input: is missing"),
        (
            {"prompt_input": "hi", "token_input": {"input_ids": [1], "n_tokens": 1}},
            r"x\.token_input: belongs to input_type 1 \(RKLLM_INPUT_TOKEN\), but input_type is 0",
        ),
        (
            {"input_type": 2, "prompt_input": "hi"},
            "belongs to input_type 0|embed_input: is missing",
        ),
    ],
)
def test_another_member_is_refused(value: dict[str, Any], what: str) -> None:
    """The member of the input type must be there, and no other may."""
    with pytest.raises(InvalidParams, match=what):
        make("RKLLMInput", value)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        (
            "RKLLMTokenInput",
            {"input_ids": [1, 2, 3], "n_tokens": 2},
            r"x\.input_ids: has 3 elements, but n_tokens = 2",
        ),
        ("RKLLMTokenInput", {"input_ids": [], "n_tokens": 2}, "is missing, but n_tokens = 2"),
        (
            "RKLLMEmbedInput",
            {"embed": [1, 2, 3], "n_tokens": 2},
            "has 3 elements, which is no multiple of n_tokens = 2",
        ),
        ("RKLLMEmbedInput", {"embed": [1], "n_tokens": 0}, "no multiple of n_tokens = 0"),
        (
            "RKLLMMultiModalInput",
            {"prompt": "", "image": {**IMAGE, "n_image": 4}},
            r"x\.image\.image_embed: has 6 elements, .* n_image \* n_image_tokens = 8",
        ),
        (
            "RKLLMMultiModalInput",
            {"prompt": "", "image": {"n_image": 1, "n_image_tokens": 196}},
            r"image_embed: is missing, but n_image \* n_image_tokens = 196",
        ),
        (
            "RKLLMMultiModalInput",
            {"prompt": "", "video": {"video_embed": [1], "n_video": 1, "n_frame_tokens": 1}},
            r"no multiple of n_video \* n_frame_per_video \* n_frame_tokens = 0",
        ),
        (
            "RKLLMCrossAttnParam",
            {"encoder_mask": [1, 1, 1], "num_tokens": 2},
            r"x\.encoder_mask: has 3 elements, but num_tokens = 2",
        ),
        (
            "RKLLMCrossAttnParam",
            {"encoder_k_cache": [1, 1, 1], "num_tokens": 2},
            r"x\.encoder_k_cache: has 3 elements, which is no multiple of num_tokens = 2",
        ),
        (
            "RKLLMCrossAttnParam",
            {"encoder_k_cache": [1] * 4, "encoder_v_cache": [1] * 2, "num_tokens": 2},
            r"x\.encoder_v_cache: has 2 elements, but encoder_k_cache has 4",
        ),
        ("RKLLMCrossAttnParam", {"encoder_pos": [1], "num_tokens": -1}, "but num_tokens = -1"),
        (
            "RKLLMCrossAttnParam",
            {"encoder_mask": [[]], "num_tokens": 2},
            r"x\.encoder_mask: is missing, but num_tokens = 2",
        ),
    ],
)
def test_lengths_are_compared_with_the_counts(name: str, value: dict[str, Any], what: str) -> None:
    """C would read beyond the array, or leave some of it: the error states both numbers."""
    with pytest.raises(InvalidParams, match=what):
        make(name, value)


def test_the_caches_of_cross_attention_may_be_null() -> None:
    """rkllm.h has pointers there; what NULL means is the runtime's to say."""
    made, _ = make("RKLLMCrossAttnParam", {"encoder_k_cache": None, "num_tokens": 128})
    assert not made.encoder_k_cache
    assert made.num_tokens == 128


def test_flat_image_fields_on_1_3_0() -> None:
    """The fields as releases up to 1.2.3 have them are moved to where 1.3.0 has them."""
    made, _ = make("RKLLMMultiModalInput", {"prompt": "p", **IMAGE})
    assert (made.image.n_image_tokens, made.image.image_width) == (2, 4)
    assert made.image.image_embed[:6] == [0.5] * 6


def test_flat_and_nested_image_fields_may_be_mixed() -> None:
    """Each field must be in one place only."""
    nested = {"image_start": "<img>", "n_image": 1}
    flat = {name: IMAGE[name] for name in ("image_embed", "n_image_tokens")}
    made, _ = make("RKLLMMultiModalInput", {"prompt": "p", **flat, "image": nested})
    assert (made.image.image_start, made.image.n_image_tokens) == (b"<img>", 2)
    with pytest.raises(InvalidParams, match=r"x\.n_image: "):
        make("RKLLMMultiModalInput", {"prompt": "p", "n_image": 1, "image": nested})


def test_nested_image_fields_before_1_3_0() -> None:
    """An ``image`` is taken apart where the release has its fields."""
    made, _ = make("RKLLMMultiModelInput", {"prompt": "p", "image": IMAGE}, "1.2.1")
    assert (made.n_image_tokens, made.n_image) == (2, 1)
    older = {name: IMAGE[name] for name in ("image_embed", "n_image_tokens")}
    made, _ = make("RKLLMMultiModelInput", {"prompt": "p", "image": older}, "1.2.0")
    assert made.image_embed[:6] == [0.5] * 6


def test_base64_for_any_array() -> None:
    """Token ids and embeddings may come packed."""
    ids = {"base64": "AQAAAAIAAAA=", "dtype": "<i4", "shape": [2]}
    made, _ = make("RKLLMTokenInput", {"input_ids": ids, "n_tokens": 2})
    assert made.input_ids[:2] == [1, 2]
