"""JSON objects become structures, field by field, and back."""

from __future__ import annotations

import struct as packing
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CASE_IDS, CASES, WRONG, places, structures

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import Release, Struct, releases
from rkllm_twisted.abi.to_c import ArgumentBuilder, fields_of
from rkllm_twisted.errors import InvalidParams


def make(release: Release, name: str, value: Any) -> tuple[Any, ArgumentBuilder]:
    """Make a structure; the ArgumentBuilder keeps its pointers' targets alive."""
    call = ArgumentBuilder(layout_of(release))
    return call.structure(name, "x", value), call


def bits(values: Any, base: str) -> bytes:
    """Return the bytes of a list of numbers."""
    return packing.pack(f"<{len(values)}{'f' if base == 'float' else 'i'}", *values)


def assert_holds(release: Release, struct: Struct, made: Any, value: Mapping[str, Any]) -> None:
    """Compare a structure with the JSON that it was made of, bit for bit."""
    read = to_json(layout_of(release), made)
    for name, member in fields_of(release, struct).items():
        if name not in value:
            continue
        sort, sent = release.sort_of(member.type), value[name]
        inner = release.structs.get(member.type.base)
        field = getattr(made, name)
        if sort in {"numbers", "pointer", "array"} and sent is None:
            assert sort == "array" or not field
        elif sort == "numbers":
            assert bits(field[: len(sent)], member.type.base) == bits(sent, member.type.base)
        elif inner is not None:
            assert_holds(release, inner, field.contents if sort == "pointer" else field, sent)
        elif sort == "array":
            assert list(field) == sent
        else:
            names = release.enums.get(member.type.base, {})
            assert_is(sort, names.get(sent, sent), read.get(name, field))


def assert_is(sort: str, sent: Any, read: Any) -> None:
    """Compare a scalar."""
    if sort == "float":
        assert bits([read], "float") == bits([sent], "float")
    else:
        # The elements of a union are read as bytes.
        assert (read.decode() if isinstance(read, bytes) else read) == sent


# The properties are inside the tests: pytest-twisted wraps a parametrized one once too often.
FEW = settings(max_examples=50, deadline=None)


@pytest.mark.parametrize(("release", "name"), CASES, ids=CASE_IDS)
def test_round_trip(release: Release, name: str) -> None:
    """Every field of every structure of every release arrives bit for bit."""
    struct = release.structs[name]

    @FEW
    @given(structures(release, struct))
    def holds(value: dict[str, Any]) -> None:
        made, call = make(release, name, value)
        assert_holds(release, struct, made, value)
        assert call.alive

    holds()


@pytest.mark.parametrize(("release", "name"), CASES, ids=CASE_IDS)
def test_a_wrong_value_is_refused_by_its_path(release: Release, name: str) -> None:
    """InvalidParams names the path of the wrong field, at any depth."""
    struct = release.structs[name]

    @FEW
    @given(structures(release, struct), st.data())
    def holds(value: dict[str, Any], data: st.DataObject) -> None:
        path, sort, owner, field = data.draw(st.sampled_from(places(release, struct, value)))
        owner[field] = data.draw(st.sampled_from(WRONG[sort]))
        with pytest.raises(InvalidParams) as refused:
            make(release, name, value)
        assert refused.value.data is not None
        assert str(refused.value.data["parameter"]).startswith(path)
        assert refused.value.message.startswith(path)

    holds()


@pytest.mark.parametrize(("release", "name"), CASES, ids=CASE_IDS)
def test_an_unknown_field_is_refused(release: Release, name: str) -> None:
    """The daemon never ignores an unknown field."""
    with pytest.raises(InvalidParams, match=rf"^x\.surplus: is no field of {name}"):
        make(release, name, {"surplus": None})


def test_what_is_left_out_stays_as_it_was(layout: Layout) -> None:
    """The structure keeps the values of all other fields, including those of inner structures."""
    made = layout.structs["RKLLMParam"](max_context_len=77)
    made.extend_param.base_domain_id = 5
    value = {"model_path": "m", "extend_param": None, "top_k": 3}
    param = ArgumentBuilder(layout).structure("RKLLMParam", "x", value, bytes(made))
    assert (param.model_path, param.max_context_len, param.top_k) == (b"m", 77, 3)
    assert param.extend_param.base_domain_id == 5


def test_a_misspelt_field_is_guessed() -> None:
    """The error suggests the most similar field."""
    with pytest.raises(InvalidParams, match=r"x\.temprature: .*perhaps temperature is meant\."):
        make(releases()["1.3.0"], "RKLLMParam", {"temprature": 1})


def test_a_long_name_is_not_echoed() -> None:
    """The error message stays short if the client sends a very long name."""
    with pytest.raises(InvalidParams) as refused:
        make(releases()["1.3.0"], "RKLLMParam", {"n" * 1_000_000: 1})
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    ("loaded", "name", "value", "what"),
    [
        (
            "1.3.0",
            "RKLLMParam",
            {"img_start": None},
            r"x\.img_start: .* 1\.3\.0, .*1\.1\.4, 1\.2\.0",
        ),
        ("1.2.1", "RKLLMParam", {"ignore_eos_token": 1}, r"x\.ignore_eos_token: .* 1\.3\.0\."),
        ("1.1.4", "RKLLMInput", {"role": "user"}, r"x\.role: .*1\.2\.1, 1\.2\.2, 1\.2\.3, 1\.3\.0"),
        ("1.2.1", "RKLLMInferParam", {"sampling_params": None}, r"x\.sampling_params: .*1\.3\.0"),
        ("1.2.1", "RKLLMMultiModelInput", {"video": {}}, r"x\.video: .*1\.3\.0"),
        ("1.2.0", "RKLLMMultiModelInput", {"n_image": 1}, r"x\.n_image: .*1\.2\.1"),
        (
            "1.2.1",
            "RKLLMMultiModelInput",
            {"image": {"image_start": ""}},
            r"image_start: .*1\.3\.0",
        ),
        (
            "1.2.1",
            "RKLLMParam",
            {"model_path": "m", "extend_param": {"npu_core_num": 3}},
            r"x\.extend_param\.npu_core_num: is no field of RKLLMExtendParam in release 1\.2\.1",
        ),
    ],
)
def test_a_field_of_another_release(
    loaded: str, name: str, value: dict[str, Any], what: str
) -> None:
    """The error names the loaded release and the releases that have the field."""
    with pytest.raises(InvalidParams, match=what):
        make(releases()[loaded], name, value)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("RKLLMParam", {}, "model_path"),
        ("RKLLMParam", {"model_path": None}, "model_path"),
        ("RKLLMLoraAdapter", {"lora_adapter_path": "p", "lora_adapter_name": "n"}, "scale"),
        ("RKLLMEmbedInput", {"n_tokens": 1}, "embed"),
        ("RKLLMTokenInput", {"input_ids": [1]}, "n_tokens"),
    ],
)
def test_fields_that_c_cannot_do_without(name: str, value: dict[str, Any], field: str) -> None:
    """A field that C reads without a check for NULL is required."""
    with pytest.raises(InvalidParams, match=rf"^x\.{field}: is missing; {name} needs it"):
        make(releases()["1.2.1"], name, value)


@pytest.mark.parametrize("value", [None, 5, "x", [1]])
def test_a_structure_is_an_object(value: Any) -> None:
    """Every other type is refused."""
    with pytest.raises(InvalidParams, match="must be an object with the fields of RKLLMInput"):
        make(releases()["1.2.1"], "RKLLMInput", value)


def test_files_are_noted(layout: Layout) -> None:
    """Fields that name a file are listed with their path in the request."""
    call = ArgumentBuilder(layout)
    call.structure("RKLLMParam", "param", {"model_path": "m.rkllm"})
    cache = {"save_prompt_cache": 1, "prompt_cache_path": "c.bin"}
    call.structure("RKLLMInferParam", "infer", {"prompt_cache_params": cache})
    assert [(file.path, file.name, file.exists) for file in call.files] == [
        ("param.model_path", "m.rkllm", True),
        ("infer.prompt_cache_params.prompt_cache_path", "c.bin", False),
    ]
