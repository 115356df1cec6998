"""Thousands of wrong parameters per function: each error names its parameter; none reaches C."""

from __future__ import annotations

import gc
import math
import os
import tracemalloc
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invalid_parameters import SPOILINGS, WrongSet, wrong_set
from recording_library import Recorder

from rkllm_twisted.abi.declarations import Function
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.errors import InvalidParams, NotInRelease

LoadedWith = Callable[[Release], tuple[Callable[..., Mapping[str, Any]], Recorder]]

#: Sets per function, over all layouts that have it.
SETS = int(os.environ.get("RKLLM_WRONG_SETS", "5000"))
#: Sets per example of hypothesis, because hypothesis is slower than all of them.
AT_ONCE = 25
#: Function -> the layouts that have it.
HAVING = {
    name: [release for release in releases().values() if name in release.functions]
    for name in releases()["1.3.0"].functions
}
CASES = [(release, name) for name, having in HAVING.items() for release in having]
LACKING = [
    (release, name)
    for release in releases().values()
    for name in HAVING
    if name not in release.functions
]


def ids(cases: list[tuple[Release, str]]) -> list[str]:
    """Return the ids of the cases for pytest."""
    return [f"{release.name}-{name}" for release, name in cases]


def many(sets: int) -> settings:
    """Run this many examples, the same ones each time."""
    examples = -(-sets // AT_ONCE)
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def assert_refused(call: Callable[..., Any], function: Function, wrong: WrongSet) -> None:
    """Check that InvalidParams names the place, in its message and in its data."""
    with pytest.raises(InvalidParams) as refused:
        call(function.name, wrong.params)
    named = str((refused.value.data or {}).get("parameter"))
    assert named.startswith(wrong.named), (wrong.how, named, wrong.named)
    assert named in refused.value.message or wrong.named == ("params",)
    assert len(refused.value.message) < 1000


def test_every_function_is_among_the_cases() -> None:
    """All 15 functions occur, on every layout that has them."""
    assert len(HAVING) == 15
    assert len(CASES) + len(LACKING) == 15 * len(releases())


@pytest.mark.parametrize(("release", "name"), CASES, ids=ids(CASES))
def test_wrong_parameters_are_refused_by_name(
    release: Release, name: str, loaded_with: LoadedWith
) -> None:
    """The error names the wrong parameter at any depth, and C is not called."""
    call, recorder = loaded_with(release)
    before = recorder.calls()
    function = release.functions[name]

    @many(SETS // len(HAVING[name]))
    @given(st.randoms(use_true_random=True))
    def holds(rng: Random) -> None:
        for _ in range(AT_ONCE):
            assert_refused(call, function, wrong_set(release, function, rng))

    holds()
    assert recorder.calls() == before


@pytest.mark.parametrize(("release", "name"), LACKING, ids=ids(LACKING))
def test_a_function_that_the_release_lacks_is_refused_whatever_it_is_given(
    release: Release, name: str, loaded_with: LoadedWith
) -> None:
    """The error is NotInRelease with the function's name, even if the parameters are wrong, too."""
    call, recorder = loaded_with(release)
    before = recorder.calls()
    other = HAVING[name][0]

    @many(SETS // 20)
    @given(st.randoms(use_true_random=True))
    def holds(rng: Random) -> None:
        for _ in range(AT_ONCE):
            wrong = wrong_set(other, other.functions[name], rng)
            with pytest.raises(NotInRelease) as refused:
                call(name, wrong.params)
            assert (refused.value.data or {})["function"] == name

    holds()
    assert recorder.calls() == before


def test_every_way_of_being_wrong_occurs() -> None:
    """The generated sets use every kind of mistake."""
    rng = Random(1)
    seen = {
        wrong_set(release, release.functions[name], rng).how
        for release, name in CASES
        for _ in range(50)
    }
    assert seen == {spoil.__name__ for spoil in SPOILINGS}


def test_memory_is_flat(loaded_with: LoadedWith) -> None:
    """A refused call frees everything that it has built."""

    def refuse(seed: int) -> None:
        rng = Random(seed)
        for release, name in CASES:
            call, function = calls[release.name], release.functions[name]
            for _ in range(10):
                assert_refused(call, function, wrong_set(release, function, rng))
        gc.collect()

    calls = {release.name: loaded_with(release)[0] for release in releases().values()}
    refuse(1)
    tracemalloc.start()
    try:
        refuse(2)
        before, _ = tracemalloc.get_traced_memory()
        for seed in range(3, 7):
            refuse(seed)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 64 * 1024


@pytest.mark.parametrize(
    ("function", "params", "what"),
    [
        ("rkllm_set_function_tools", ["", [math.nan], ""], "tools: holds a number that JSON"),
        (
            "rkllm_clear_kv_cache",
            [0, {"base64": "", "dtype": "<i4", "shape": [10**4000] * 2}, [1]],
            r"start_pos\.shape: must be an array of whole numbers of 32 bits",
        ),
    ],
)
def test_what_the_generated_sets_have_found(
    function: str, params: Any, what: str, loaded_with: LoadedWith
) -> None:
    """Each case is a past bug: it was accepted, or caused an internal error."""
    call, _ = loaded_with(releases()["1.2.1"])
    with pytest.raises(InvalidParams, match=what):
        call(function, params)
