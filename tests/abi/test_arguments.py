"""Parameters of a request become arguments of C."""

from __future__ import annotations

from typing import Any

import pytest

from rkllm_twisted.abi.arguments import assign_arguments
from rkllm_twisted.abi.release import releases
from rkllm_twisted.errors import InvalidParams

FUNCTIONS = releases()["1.3.0"].functions
PARAM = {"model_path": "m"}
RUN = {"rkllm_input": {"prompt_input": "hi"}, "rkllm_infer_params": {"mode": 0}}
TEMPLATE = {"system_prompt": "s", "prompt_prefix": "p", "prompt_postfix": "q"}


@pytest.mark.parametrize(
    "params",
    [
        [PARAM],
        [None, PARAM],
        [None, PARAM, None],
        [PARAM, None],
        {"param": PARAM},
        {"handle": None, "param": PARAM, "callback": None},
    ],
)
def test_the_forms_of_init(params: Any) -> None:
    """The slots that the daemon fills may be null or left out, unless that is ambiguous."""
    assert assign_arguments(FUNCTIONS["rkllm_init"], params) == {"param": PARAM}


@pytest.mark.parametrize(
    "params",
    [
        [RUN["rkllm_input"], RUN["rkllm_infer_params"]],
        [RUN["rkllm_input"], RUN["rkllm_infer_params"], None],
        [None, RUN["rkllm_input"], RUN["rkllm_infer_params"]],
        [None, RUN["rkllm_input"], RUN["rkllm_infer_params"], None],
        RUN,
    ],
)
def test_the_forms_of_run(params: Any) -> None:
    """Two parameters of the client's own stand between the handle and userdata."""
    assert assign_arguments(FUNCTIONS["rkllm_run"], params) == RUN


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (["s", "p", "q"], ("s", "p", "q")),
        ([None, "p", "q"], (None, "p", "q")),
        ([None, "s", "p", "q"], ("s", "p", "q")),
        ([None, None, "p", "q"], (None, "p", "q")),
        ([None], (None, None, None)),
        ([], (None, None, None)),
        (None, (None, None, None)),
        ({"prompt_prefix": "p"}, (None, "p", None)),
    ],
)
def test_a_leading_null_where_the_first_parameter_may_be_null(
    params: Any, expected: tuple[Any, ...]
) -> None:
    """A null is the handle's slot only if the list is longer than the client's own parameters."""
    bound = assign_arguments(FUNCTIONS["rkllm_set_chat_template"], params)
    assert tuple(bound.values()) == expected
    assert list(bound) == list(TEMPLATE)


@pytest.mark.parametrize("params", [None, [], [None], {}, {"handle": None}])
def test_functions_without_parameters_of_the_client(params: Any) -> None:
    """No params, an empty list and a null for the handle mean the same."""
    assert assign_arguments(FUNCTIONS["rkllm_destroy"], params) == {}


@pytest.mark.parametrize("params", [None, [], [None], [None, None], {"cache_sizes": None}])
def test_outputs_are_no_arguments(params: Any) -> None:
    """Output parameters of C may be null or left out."""
    assert assign_arguments(FUNCTIONS["rkllm_get_kv_cache_size"], params) == {}


def test_create_default_param_takes_nothing() -> None:
    """The client sends an empty list; a null in it is refused."""
    assert assign_arguments(FUNCTIONS["rkllm_createDefaultParam"], []) == {}
    with pytest.raises(InvalidParams, match="takes no parameters"):
        assign_arguments(FUNCTIONS["rkllm_createDefaultParam"], [None])


@pytest.mark.parametrize(
    ("function", "params", "parameter"),
    [
        ("rkllm_init", None, "param"),
        ("rkllm_init", [], "param"),
        ("rkllm_init", [None], "param"),
        ("rkllm_init", [None, None, None], "param"),
        ("rkllm_init", {"param": None}, "param"),
        ("rkllm_init", {"params": PARAM}, "params"),
        ("rkllm_init", PARAM, "model_path"),
        ("rkllm_init", [PARAM, 5], "callback"),
        ("rkllm_init", [7, PARAM, None], "handle"),
        ("rkllm_init", {"param": PARAM, "handle": 7}, "handle"),
        ("rkllm_init", [None, PARAM, None, None], "params"),
        ("rkllm_run", [None, {}, {}, 5], "userdata"),
        ("rkllm_run", [{}, {}, 5], "userdata"),
        ("rkllm_run", [1, 2, 3, 4, 5], "params"),
        ("rkllm_destroy", [5], "handle"),
        ("rkllm_get_kv_cache_size", [None, [0]], "cache_sizes"),
        ("rkllm_clear_kv_cache", [], "keep_system_prompt"),
        ("rkllm_load_prompt_cache", [None], "prompt_cache_path"),
    ],
)
def test_what_is_refused_is_named(function: str, params: Any, parameter: str) -> None:
    """The error names the parameter and lists the function's parameters."""
    with pytest.raises(InvalidParams, match=f"{function} takes ") as refused:
        assign_arguments(FUNCTIONS[function], params)
    assert refused.value.data == {"parameter": parameter}


def test_1_2_0_clears_the_whole_cache_only() -> None:
    """Release 1.2.0 cannot clear ranges."""
    clear = releases()["1.2.0"].functions["rkllm_clear_kv_cache"]
    assert (
        assign_arguments(clear, [None, 1])
        == assign_arguments(clear, [1])
        == {"keep_system_prompt": 1}
    )
    with pytest.raises(InvalidParams, match="There are 3 parameters"):
        assign_arguments(clear, [1, None, None])
