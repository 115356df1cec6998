"""Wrong parameters through the socket get an error each and do not change the daemon."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from daemons import Daemon, RawClient
from invalid_parameters import WrongSet, wrong_set
from soaking import repetitions

from rkllm_twisted.abi.release import Release, releases

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

#: Sets per method.
SETS = repetitions(90, 300)
INVALID_PARAMS, NOT_IN_RELEASE = -32602, -32006
FUNCTIONS = list(releases()["1.3.0"].functions)
#: The depth limit of a message, minus the levels around the parameters.
DEEPEST = 62


def depth(value: Any) -> int:
    """Return the depth of the innermost value."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def sendable(release: Release, function: str, rng: Random) -> Iterator[WrongSet]:
    """Yield sets that JSON can express within the depth limit."""
    loaded = release if function in release.functions else releases()["1.3.0"]
    while True:
        wrong = wrong_set(loaded, loaded.functions[function], rng)
        try:
            json.dumps(wrong.params, allow_nan=False)
        except ValueError:
            continue
        if depth(wrong.params) <= DEEPEST:
            yield wrong


def assert_answered(client: RawClient, release: Release, function: str, wrong: WrongSet) -> None:
    """Check that the error is the expected one and names the place."""
    answer = client.ask(function.replace("_", ".", 1), wrong.params)
    error = answer.get("error")
    assert error is not None, (wrong, answer)
    if "surrogate" in error["message"]:
        # Noticed before the function, or the enclosing parameter, is known.
        assert error["code"] == INVALID_PARAMS
    elif function not in release.functions:
        assert error["code"] == NOT_IN_RELEASE
        assert error["data"]["function"] == function
    else:
        assert error["code"] == INVALID_PARAMS, (wrong, error)
        if wrong.how != "too_many":
            assert error["data"]["parameter"].startswith(wrong.named), (wrong, error)


def resident_kib(daemon: Daemon) -> int:
    """Return the memory of the daemon's process."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.parametrize("abi", ["1.1.4", "1.3.0"])
def test_wrong_parameters_are_answered_by_name_and_cost_nothing(
    abi: str, start: Start, script: Script
) -> None:
    """Hundreds of sets per method cause only errors; memory is flat, and the model still works."""
    daemon = start(f"--abi={abi}")
    daemon.load(script('run\ntoken "x"\nfinish\n'))
    rng, release = Random(20260103), releases()[abi]
    with daemon.connect() as client:
        sets = {function: sendable(release, function, rng) for function in FUNCTIONS}

        def send(how_many: int) -> int:
            for function, wrong_sets in sets.items():
                for _, wrong in zip(range(how_many), wrong_sets, strict=False):
                    assert_answered(client, release, function, wrong)
            return resident_kib(daemon)

        warm = send(SETS // 3)
        assert send(SETS - SETS // 3) - warm < 2048
        result = client.ask("rkllm.run", {"rkllm_input": {"prompt_input": "go"}})["result"]
    assert result["text"] == "x"
