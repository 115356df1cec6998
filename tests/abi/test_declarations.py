"""What the C declarations of the table say, and what the rows say beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rkllm_twisted.abi import release as release_module
from rkllm_twisted.abi.arguments import Signature
from rkllm_twisted.abi.declarations import CType, Parameter, parse_function
from rkllm_twisted.abi.release import releases

ROWS = json.loads(Path(release_module.__file__).with_name("rkllm-abi.json").read_text())[
    "functions"
]
FUNCTIONS = [
    pytest.param(function, id=f"{release.name}-{function.name}")
    for release in releases().values()
    for function in release.functions.values()
]


@pytest.mark.parametrize(
    "declared",
    [
        "int rkllm_f(LLMHandle handle, const char* text, int* n)",
        "int rkllm_f(LLMHandle handle, const char *text, int *n);",
        "int rkllm_f( LLMHandle handle , const char * text , int * n );",
    ],
)
def test_a_declaration_is_read_as_the_header_has_it(declared: str) -> None:
    """The star may stand at the type or at the name."""
    function = parse_function(declared, {})
    assert (function.name, function.returns) == ("rkllm_f", CType("int"))
    assert function.parameters == (
        Parameter("handle", CType("LLMHandle")),
        Parameter("text", CType("char", pointer=True)),
        Parameter("n", CType("int", pointer=True)),
    )


@pytest.mark.parametrize("declared", ["RKLLMParam f()", "RKLLMParam f(void);"])
def test_a_function_without_parameters(declared: str) -> None:
    """C has two ways to say so."""
    function = parse_function(declared, {})
    assert (function.returns, function.parameters) == (CType("RKLLMParam"), ())
    assert not function.needs_model


def test_a_row_says_what_a_declaration_does_not() -> None:
    """Which parameters C writes to, which may be null, and what they are."""
    row = {"leaves_cache": True, "parameters": {"n": {"output": True, "unit": "tokens"}}}
    function = parse_function("int f(LLMHandle handle, int* n)", row)
    assert function.leaves_cache
    assert function.needs_model
    assert [(p.name, p.unit) for p in function.outputs] == [("n", "tokens")]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_parameter_of_a_client_says_what_it_is(function: release_module.Function) -> None:
    """So does every output."""
    for parameter in (*Signature.of(function).own, *function.outputs):
        assert parameter.about, parameter.name


@pytest.mark.parametrize("name", ROWS)
def test_no_fact_of_a_row_is_orphaned(name: str) -> None:
    """Each parameter of a row is one of some declaration, and each key is known."""
    row = ROWS[name]
    assert row.keys() <= {"summary", "declared", "parameters", "administrative", "leaves_cache"}
    declared = [parse_function(text, row) for text in row["declared"].values()]
    assert {function.name for function in declared} == {name}
    known = {parameter.name for function in declared for parameter in function.parameters}
    assert row.get("parameters", {}).keys() <= known
