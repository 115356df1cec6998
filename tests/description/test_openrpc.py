"""The OpenRPC document is valid, correct, and specific to the loaded release."""

from __future__ import annotations

import ctypes
import json
import typing
from random import Random
from typing import Annotated, Any, Literal

import attrs
import msgspec
import pytest
from memory_client import FakeMethod
from openrpc_schema import Document, meta_schema
from twisted.plugin import IPlugin
from valid_parameters import RightValues
from zope.interface import implementer

from rkllm_twisted import __version__
from rkllm_twisted.abi.arguments import Signature, assign_arguments
from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import prepare
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.daemon.self_description import describe_for
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.interfaces import IDescribedMethod, IRPCMethod
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.values import SelfDescription
from twisted.plugins import rkllm_methods

RELEASES = list(releases().values())
OWN = find_methods([getattr(rkllm_methods, name) for name in rkllm_methods.__all__], releases())


def described(abi: str, *others: IRPCMethod) -> SelfDescription:
    """Describe the daemon with third-party methods."""
    methods = {**OWN, **{method.name: method for method in others}}
    return describe_for(methods, releases()[abi])


def document(abi: str = "1.3.0", *others: IRPCMethod) -> Document:
    """Return the document as a client reads it."""
    written: Any = described(abi, *others).document
    return Document(json.loads(bytes(written)))


@pytest.fixture(params=RELEASES, ids=lambda release: release.name)
def release(request: pytest.FixtureRequest) -> Release:
    """Each layout."""
    found = request.param
    assert isinstance(found, Release)
    return found


def test_the_document_is_valid(release: Release) -> None:
    """OpenRPC's meta-schema accepts it."""
    errors = meta_schema().iter_errors(document(release.name).document)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize(
    "damage",
    [
        {"methods": None},
        {"openrpc": "3.0"},
        {"components": {"schemas": {"X": {"type": "nothing"}}}},
        {"methods": [{"name": "x", "params": [{"name": "p"}]}]},
    ],
)
def test_the_meta_schema_refuses_what_is_no_document(damage: dict[str, Any]) -> None:
    """The meta-schema can refuse a document, and the JSON Schemas in it."""
    assert not meta_schema().is_valid({**document().document, **damage})


def test_it_is_that_of_the_loaded_release(release: Release) -> None:
    """The version is the daemon's, and the methods are the release's."""
    found = document(release.name)
    assert found.document["info"]["version"] == __version__
    assert found.document["x-abi"] == {"layout": release.name, "releases": [*release.covers]}
    functions = {m["x-function"] for m in found.methods.values() if "x-function" in m}
    assert functions == release.functions.keys() & {
        method.function for method in OWN.values() if hasattr(method, "function")
    }
    assert ("rkllm.pause" in found.methods) == (release.name not in ("1.1.4", "1.2.0"))


def test_a_field_that_the_release_lacks_is_not_in_it() -> None:
    """Only release 1.3.0 has sampling parameters in RKLLMInferParam."""
    fields = {
        abi: document(abi).at("#/components/schemas/RKLLMInferParam")["properties"].keys()
        for abi in ("1.2.1", "1.3.0")
    }
    assert fields["1.2.1"] < fields["1.3.0"]


def test_every_reference_leads_somewhere(release: Release) -> None:
    """Every component is referenced."""
    found = document(release.name)
    references = {
        pair["$ref"]
        for pair in walk(found.document)
        if isinstance(pair, dict) and isinstance(pair.get("$ref"), str)
    }
    assert all(found.at(reference) for reference in references)
    components = found.document["components"]
    there = {f"#/components/{sort}/{name}" for sort in components for name in components[sort]}
    assert there == references


def walk(value: Any) -> typing.Iterator[Any]:
    """Yield a value and everything in it."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from walk(item)


def test_the_examples_fit_the_schemas(release: Release) -> None:
    """Parameters, results and partial results are checked; another test plays them to a daemon."""
    found = document(release.name)
    for method in found.methods.values():
        for example in method.get("examples", ()):
            given = {param["name"]: param["value"] for param in example["params"]}
            assert found.refuses(method["name"], given) == []
            results = [example["result"]["value"], *example.get("x-partial-results", ())]
            assert [p for r in results for p in found.problems(method["name"], r)] == []


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_every_method_has_an_example(abi: str) -> None:
    """The two newest layouts are checked."""
    assert all(method["examples"] for method in document(abi).methods.values())


@pytest.mark.parametrize("seed", range(25))
def test_what_the_binding_takes_fits_the_schemas(release: Release, seed: int) -> None:
    """The parameters are any that the table allows."""
    found, values = document(release.name), RightValues(release, Random(seed))
    for method in found.methods.values():
        if "x-function" in method:
            given = values.parameters(release.functions[method["x-function"]])
            needed = {n: v for n, v in given.items() if v is not None}
            assert found.refuses(method["name"], json.loads(json.dumps(needed))) == []


def test_parameters_by_position_are_in_the_documents_order(release: Release) -> None:
    """The binding gives them the same names."""
    for method in document(release.name).methods.values():
        if "x-function" in method:
            function = release.functions[method["x-function"]]
            names = [param["name"] for param in method["params"]]
            bound = assign_arguments(function, [f"value of {name}" for name in names])
            assert bound == {name: f"value of {name}" for name in names}
            assert [p.name for p in Signature.of(function).own] == names


RUN = "rkllm.run/rkllm_input"
INIT = "rkllm.init/param"


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        (INIT, {}, "'model_path' is a required property"),
        (INIT, {"model_path": 5}, "not of type 'string'"),
        (INIT, {"model_path": "m", "top_k": 2**31}, "greater than the maximum of 2147483647"),
        (INIT, {"model_path": "m", "top_k": 0.5}, "not of type 'integer'"),
        (INIT, {"model_path": "m", "topk": 1}, "'topk' was unexpected"),
        (INIT, {"model_path": "m", "extend_param": {"n_batch": 256}}, "not valid under any"),
        (RUN, {"input_type": "RKLLM_INPUT_SMELL"}, "not valid under any"),
        (RUN, {"input_type": 9}, "not valid under any"),
        (RUN, {"embed_input": {"embed": ["a"], "n_tokens": 1}}, "not valid under any"),
        (RUN, {"embed_input": {"embed": {"base64": ""}, "n_tokens": 1}}, "not valid under any"),
        ("rkllm.load_prompt_cache/prompt_cache_path", None, "not of type 'string'"),
    ],
)
def test_what_the_binding_refuses_the_schemas_refuse(name: str, wrong: object, said: str) -> None:
    """The schemas have the ranges of integers, the names of enums, and the known fields."""
    assert said in "\n".join(document().problems(name, wrong))
    method, parameter = name.split("/")
    with pytest.raises(InvalidParams):
        prepared(method, {parameter: wrong})


@pytest.mark.parametrize(
    "embed",
    [
        [0.5, 1, -2],
        [[0.5, 1.0], [2.0, 3.0]],
        {"base64": "AAAAPw==", "dtype": "<f4", "shape": [1, 1]},
    ],
)
def test_floats_are_a_list_or_rows_or_base64(embed: object) -> None:
    """A client may send any of these forms."""
    value = {"input_type": 2, "embed_input": {"embed": embed, "n_tokens": 1}}
    assert document().problems(RUN, value) == []
    prepared("rkllm.run", {"rkllm_input": value})


def prepared(method: str, params: dict[str, Any]) -> object:
    """Return the parameters as the binding prepares them."""
    layout = layout_of(releases()["1.3.0"])
    defaults = bytes(ctypes.sizeof(layout.structs["RKLLMParam"]))
    return prepare(layout, defaults, method.replace(".", "_"), params)


def test_enums_are_sent_by_number_or_name_and_received_by_number() -> None:
    """Each value has its meaning."""
    found = document()
    numbers, names = found.at("#/components/schemas/RKLLMInputType")["anyOf"]
    assert (
        dict(zip(names["enum"], numbers["enum"], strict=True))
        == releases()["1.3.0"].enums["RKLLMInputType"]
    )
    state = found.at("#/components/schemas/LLMCallState")
    assert (state["type"], state["enum"]) == ("integer", [0, 1, 2, 3])
    assert "2 RKLLM_RUN_FINISH: " in state["description"]


def test_errors_stand_with_their_codes() -> None:
    """Each method lists the errors that it may return."""
    found = document()
    codes = [found.at(e["$ref"])["code"] for e in found.methods["rkllm.abort"]["errors"]]
    assert codes == [-32602, -32000, -32001, -32005]


# ---- Third parties ----


@attrs.frozen
class Person:
    """A name.

    :param name: as it is said.
    """

    name: str
    age: Annotated[int, msgspec.Meta(ge=0)] | None = None


@attrs.frozen
class GreetParams:
    """What it takes.

    :param whom: to greet.
    :param tone: of voice.
    """

    whom: Person
    tone: Literal["loud", "soft"] = "soft"
    tags: list[str] = attrs.field(factory=list)
    anything: object = None


@attrs.frozen
class Greeting:
    """What it answers.

    :param text: to be read aloud.
    """

    text: str
    seconds: float


@implementer(IPlugin, IDescribedMethod)
@attrs.frozen
class Greet(FakeMethod):
    """A third party's method."""

    name: str = "greet.hello"
    params: type | None = GreetParams
    result: object = Greeting


def test_a_third_partys_method_is_described_by_what_it_declares() -> None:
    """The schema has types, defaults and docstrings; nested classes are components."""
    found = document("1.3.0", Greet())
    assert meta_schema().is_valid(found.document)
    method = found.methods["greet.hello"]
    assert [(p["name"], p["required"]) for p in method["params"]] == [
        ("whom", True),
        ("tone", False),
        ("tags", False),
        ("anything", False),
    ]
    assert method["params"][0]["description"] == "to greet."
    assert found.schema("greet.hello/whom") == {"$ref": "#/components/schemas/greet.hello.Person"}
    assert found.schema("greet.hello/tone") == {"enum": ["loud", "soft"], "default": "soft"}
    assert found.schema("greet.hello/anything") == {"default": None}
    assert found.refuses("greet.hello", {"whom": {"name": "Anna", "age": 7}}) == []
    assert found.refuses("greet.hello", {"whom": {"name": "Anna", "age": -7}})
    assert found.problems("greet.hello", {"text": "Hi", "seconds": 0.5}) == []
    assert found.problems("greet.hello", {"text": "Hi"})


def test_a_method_that_checks_its_parameters_itself_says_so() -> None:
    """Parameters and result are then unknown."""
    found = document("1.3.0", FakeMethod("mine.echo"))
    assert meta_schema().is_valid(found.document)
    method = found.methods["mine.echo"]
    assert method["params"] == []
    assert "may take any" in method["description"]
    assert method["result"]["schema"] == {}


@attrs.frozen
class Party:
    """A choice."""

    people: list[Person]


@pytest.mark.parametrize("result", [Party, list[Person], dict[str, Person]])
def test_classes_inside_of_a_result_are_components(result: object) -> None:
    """They become components like the classes in parameters."""
    found = document("1.3.0", Greet(result=result))
    assert meta_schema().is_valid(found.document)
    assert found.at("#/components/schemas/greet.hello.Person")["required"] == ["name"]
    anna = {"name": "Anna"}
    fits = {Party: {"people": [anna]}, list[Person]: [anna]}.get(result, {"a": anna})
    assert found.problems("greet.hello", fits) == []
    assert found.problems("greet.hello", {"people": [{}], "a": {}})


class Opaque:
    """No type that JSON knows."""


@attrs.frozen
class OddParams:
    """Neither a type checker nor JSON can make anything of this."""

    one: "NoSuchName"  # type: ignore[name-defined]  # noqa: F821, UP037
    two: Opaque = Opaque()  # noqa: RUF009


@attrs.frozen
class OpaqueParams:
    """JSON can make nothing of this."""

    two: Opaque = attrs.field(default=Opaque())


@attrs.frozen
class HugeParams:
    """JSON can make nothing of these, or at least msgspec cannot."""

    two: Annotated[object, msgspec.Meta(extra_json_schema={"default": 2**70})] = None
    three: int = 2**70


@pytest.mark.parametrize("params", [OddParams, OpaqueParams, HugeParams])
def test_what_cannot_be_described_is_anything(params: type) -> None:
    """An unusual class must not stop the daemon from starting."""
    found = document("1.3.0", FakeMethod("mine.odd", params=params))
    assert meta_schema().is_valid(found.document)
    assert found.schema("mine.odd/two") in ({}, {"default": None})


# ---- system.* ----


@pytest.mark.parametrize(
    ("name", "signatures"),
    [
        ("server.ping", [["string"]]),
        ("rkllm.init", [["object", "object"]]),
        ("rkllm.load_prompt_cache", [["object", "string"]]),
        ("server.configure", [["object"], ["object", "string"], ["object", "string", "string"]]),
        ("system.methodSignature", [["array", "string"], ["string", "string"]]),
        ("rpc.discover", [["object"]]),
        ("mine.echo", ""),
        (
            "greet.hello",
            [
                ["object", "object"],
                ["object", "object", "string"],
                ["object", "object", "string", "array"],
                ["object", "object", "string", "array", "any"],
            ],
        ),
    ],
)
def test_signatures_are_lists_of_types(name: str, signatures: object) -> None:
    """The result's type comes first; each accepted number of parameters has a signature."""
    found = described("1.3.0", FakeMethod("mine.echo"), Greet()).signatures
    assert found[name] == signatures


def test_help_is_text_for_people() -> None:
    """The text has the method's purpose, parameters, result and errors."""
    text = described("1.3.0", Greet()).help["greet.hello"]
    assert text.splitlines() == [
        "Does what the test says.",
        "Parameters:",
        "  whom (object): to greet.",
        "  tone (string, optional): of voice.",
        "  tags (array, optional)",
        "  anything (any, optional)",
        "Result (object)",
        "  text (string): to be read aloud.",
        "  seconds (number)",
        "Errors: -32602 InvalidParams, -32002 Busy",
    ]


def test_all_that_is_in_the_document_has_help_and_a_signature(release: Release) -> None:
    """No other method has them."""
    description = described(release.name)
    names = document(release.name).methods.keys()
    assert description.help.keys() == description.signatures.keys() == names
