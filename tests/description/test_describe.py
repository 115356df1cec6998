"""The description of the methods agrees with the binding and the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.abi.to_c import ArgumentBuilder
from rkllm_twisted.description.annotations import own_parameters
from rkllm_twisted.description.describe import describe
from rkllm_twisted.description.model import Default, Description, Item, MethodDescription, Origin
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.interfaces import IRKLLMMethod
from rkllm_twisted.rpc.registry import find_methods

ALL = describe(find_methods(), list(releases().values()))
#: A value of each JSON type.
SAMPLES: Mapping[str, Any] = {"string": "x", "number": 0.5, "integer": 1, "array": [1]}
#: Inputs that are not under test.
INPUTS: Mapping[str, Mapping[str, Any]] = {
    "prompt_input": {"input_type": 0, "prompt_input": "x"},
    "token_input": {"input_type": 1, "token_input": {"input_ids": [1], "n_tokens": 1}},
}


def method(name: str, description: Description = ALL) -> MethodDescription:
    """Return one of the methods."""
    return next(m for m in description.methods if m.name == name)


def field(structure: str, name: str) -> Item:
    """Return a field as in the newest release that has it."""
    return next(f for f in ALL.structures[structure].fields if f.name == name)


def sent_fields() -> list[Any]:
    """Return every field that clients send, with each layout that has it."""
    return [
        pytest.param(
            release, structure.name, item, id=f"{release.name}-{structure.name}.{item.name}"
        )
        for release in releases().values()
        for structure in ALL.structures.values()
        if structure.sent
        for item in structure.fields
        if release.covers[0] in item.releases
    ]


def beside(structure: str, item: Item) -> dict[str, Any]:
    """Return the members that a field needs beside it."""
    if structure == "RKLLMInput":
        return {**INPUTS["token_input" if item.name == "prompt_input" else "prompt_input"]}
    required = [f for f in ALL.structures[structure].fields if f.required and f != item]
    return {f.name: SAMPLES[f.type.json[0]] for f in required}


def refused(release: Release, structure: str, value: Mapping[str, Any]) -> object:
    """Return the name that the binding refuses in a structure, if any."""
    try:
        ArgumentBuilder(layout_of(release)).structure(structure, "x", value)
    except InvalidParams as error:
        return (error.data or {})["parameter"]
    return None


def accepts(release: Release, structure: str, item: Item, value: Any) -> bool:
    """Tell whether the binding accepts a field; mistakes in its neighbours do not count."""
    given = {**beside(structure, item), item.name: value}
    return refused(release, structure, given) != f"x.{item.name}"


@pytest.mark.parametrize(("release", "structure", "item"), sent_fields())
def test_null_is_described_where_it_is_taken(release: Release, structure: str, item: Item) -> None:
    """The binding refuses null for every field that is not described as nullable."""
    assert accepts(release, structure, item, None) == ("null" in item.type.json)


@pytest.mark.parametrize(("release", "structure", "item"), sent_fields())
def test_ranges_are_those_of_the_binding(release: Release, structure: str, item: Item) -> None:
    """The binding accepts both bounds and refuses the numbers beyond them."""
    least, greatest = item.type.least, item.type.greatest
    if least is None or greatest is None:
        assert "integer" not in item.type.json or item.type.of in ALL.enums
        return
    assert accepts(release, structure, item, least)
    assert accepts(release, structure, item, greatest)
    assert not accepts(release, structure, item, least - 1)
    assert not accepts(release, structure, item, greatest + 1)


@pytest.mark.parametrize(("release", "structure", "item"), sent_fields())
def test_what_is_left_out_is_missed_or_has_a_default(
    release: Release, structure: str, item: Item
) -> None:
    """The binding refuses an object without a required field and names the field."""
    missed = refused(release, structure, beside(structure, item)) == f"x.{item.name}"
    assert missed == item.required
    assert (item.default is None) == item.required


def test_every_function_is_a_method_with_its_own_parameters() -> None:
    """The parameters are in C's order, without the slots that the daemon fills."""
    run = method("rkllm.run")
    assert [p.name for p in run.parameters] == ["rkllm_input", "rkllm_infer_params"]
    assert [(s.name, s.owned) for s in run.slots] == [
        ("handle", True),
        ("rkllm_input", False),
        ("rkllm_infer_params", False),
        ("userdata", True),
    ]


def test_a_function_is_in_the_releases_that_have_it() -> None:
    """The same holds for its parameters."""
    clear = method("rkllm.clear_kv_cache")
    assert clear.releases[0] == "1.2.0"
    assert {p.name: p.releases[0] for p in clear.parameters} == {
        "keep_system_prompt": "1.2.0",
        "start_pos": "1.2.1",
        "end_pos": "1.2.1",
    }


def test_a_pause_is_in_the_releases_whose_callback_returns_something() -> None:
    """The pause has a description although it is no C function."""
    assert method("rkllm.pause").releases[:4] == ("1.2.1", "1.2.2", "1.2.3", "1.3.0")


def test_one_release_alone_can_be_described() -> None:
    """The description of one release contains nothing of the others."""
    methods = find_methods()
    one = describe(methods, [releases()["1.2.0"]])
    assert one.releases == ("1.2.0",)
    assert "RKLLMSamplingParam" not in one.structures
    assert method("rkllm.get_kv_cache_size", one).releases == ()
    assert [p.name for p in method("rkllm.clear_kv_cache", one).parameters] == [
        "keep_system_prompt"
    ]


def test_every_method_is_described() -> None:
    """Plugins of C functions are described by the table, others by their params class."""
    for plugin in find_methods().values():
        described = method(plugin.name)
        assert described.summary == plugin.summary
        assert (described.function is not None) == IRKLLMMethod.providedBy(plugin)
        assert all(p.meaning for p in described.parameters), plugin.name


def test_defaults_say_where_they_come_from() -> None:
    """A default is the library's, rkllm.init's, or a value."""
    assert field("RKLLMParam", "top_k").default == Default(Origin.LIBRARY)
    assert field("RKLLMExtendParam", "n_batch").default == Default(Origin.LIBRARY)
    assert field("RKLLMSamplingParam", "top_k").default == Default(Origin.MODEL)
    assert field("RKLLMInferParam", "keep_history").default == Default(Origin.VALUE, 0)
    assert field("RKLLMInput", "enable_thinking").default == Default(Origin.VALUE, False)
    assert field("RKLLMPerfStat", "prefill_tokens").default is None


def test_units_and_lengths_are_told() -> None:
    """Figures have units, and arrays have the field that counts them."""
    assert field("RKLLMPerfStat", "prefill_time_ms").unit == "ms"
    assert field("RKLLMParam", "max_context_len").unit == "tokens"
    ids = field("RKLLMTokenInput", "input_ids")
    assert (ids.rows, ids.exact, ids.type.items) == (("n_tokens",), True, "integer")


def test_the_union_of_the_input_is_chosen_by_its_type() -> None:
    """Each member names its value of input_type."""
    fields = ALL.structures["RKLLMInput"].fields
    chosen = {f.name: f.chosen_by for f in fields if f.chosen_by}
    assert chosen == {
        "prompt_input": "RKLLM_INPUT_PROMPT",
        "token_input": "RKLLM_INPUT_TOKEN",
        "embed_input": "RKLLM_INPUT_EMBED",
        "multimodal_input": "RKLLM_INPUT_MULTIMODAL",
    }


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("server.ping", [-32602]),
        ("server.version", [-32602, -32002]),
        ("rkllm.abort", [-32602, -32000, -32001, -32005]),
        ("rkllm.init", [-32602, -32000, -32002, -32003, -32004, -32005, -32800, -32802]),
        ("rkllm.createDefaultParam", [-32602, -32002, -32003, -32004, -32800, -32802]),
        (
            "rkllm.get_kv_cache_size",
            [-32602, -32000, -32001, -32002, -32003, -32004, -32006, -32800, -32802],
        ),
    ],
)
def test_errors_follow_from_what_a_method_is(name: str, codes: list[int]) -> None:
    """The causes are a queue, a handle, a status, and a release that lacks the method."""
    assert [error.code for error in method(name).errors] == codes


@attrs.frozen
class Params:
    """What a third party's method takes.

    :param name: whom to
        greet.
    :param often: how many times.
    :raises nothing: this is no parameter.
    """

    name: str | None
    tags: list[str] = attrs.field(factory=list)
    often: int = 1
    other: object = None


def test_a_params_class_is_described_by_its_fields_and_docstring() -> None:
    """The description has types, defaults, and the text of ``:param``."""
    name, tags, often, other = own_parameters(Params)
    assert (name.type.json, name.required, name.meaning) == (
        ("string", "null"),
        True,
        "whom to greet.",
    )
    assert (tags.type.json, tags.required) == (("array",), False)
    assert (often.default, often.meaning) == (Default(Origin.VALUE, 1), "how many times.")
    assert other.type.json == ()
