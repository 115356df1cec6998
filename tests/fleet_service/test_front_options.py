"""What a front says about its options at the start."""

from __future__ import annotations

from typing import Any

import pytest
from fleet_rig import RigOptions
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from rkllm_twisted.fleet.values import Role
from rkllm_twisted.fleet_service.assembly import every_client_administers, front_service
from rkllm_twisted.testing.fleet import InMemoryRouter


def options_of(*words: str) -> Any:
    """The options, parsed."""
    options = RigOptions()
    options.parseOptions(["--socket", "(memory)", *words])
    return options


@pytest.mark.parametrize(
    ("words", "is_passed", "expected"),
    [
        ((), True, False),
        (("--mode=0660",), False, False),
        (("--admin",), False, False),
        (("--admin",), True, True),
        (("--admin", "--mode=0660"), False, True),
        (("--admin", "--mode=0666"), False, True),
        (("--admin", "--mode=0644"), False, False),
        (("--admin", "--mode=0600", "--owner=root"), False, True),
        (("--admin", "--mode=0660", "--admin-uid=0"), False, False),
        (("--admin", "--admin-gid=0"), True, False),
    ],
)
def test_every_client_administers(words: list[str], is_passed: bool, expected: bool) -> None:
    """Only where others than the front's own user can open the socket, and nobody is named."""
    assert every_client_administers(options_of(*words), is_passed) is expected


@pytest.mark.parametrize(("mode", "warnings"), [("0600", 0), ("0660", 1)])
def test_the_log_warns_of_it(mode: str, warnings: int) -> None:
    """Once, at the start."""
    engine = InMemoryRouter().engine("front", Role.ADMIN)
    with capturedLogs() as logged:
        front_service(options_of("--admin", f"--mode={mode}"), Clock(), engine)
    texts = [str(event["log_format"]) for event in logged if "--admin-uid" in str(event)]
    assert len(texts) == warnings
