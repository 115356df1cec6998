"""The table of checks of ``rkllm doctor``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rkllm_twisted.board import daemon_checks as use
from rkllm_twisted.board import npu_checks as npu
from rkllm_twisted.board.finding import SKIPPED, WRONG, Finding
from rkllm_twisted.board.machine import Machine

#: The checks, in the order in which a user mends their faults.
CHECKS: Mapping[str, Callable[[Machine], Finding | None]] = {
    "board": npu.board,
    "runtime": use.runtime,
    "driver": npu.driver,
    "devices": npu.devices,
    "heaps": npu.heaps,
    "descriptors": npu.descriptors,
    "memory": use.memory,
    "governor": npu.governor,
    "heat": npu.heat,
    "daemon": use.daemon,
    "socket": use.socket,
}
#: The checks that matter only for Rockchip's library.
NPU_ONLY = frozenset({"board", "driver", "devices", "heaps", "descriptors", "governor", "heat"})


def run_checks(machine: Machine) -> Mapping[str, Finding]:
    """Make all checks that apply to a machine, and return the findings by the checks' names."""
    found: dict[str, Finding] = {}
    for name, check in CHECKS.items():
        if name in NPU_ONLY and not machine.needs_npu:
            found[name] = Finding(SKIPPED, "The embedded runtime needs no NPU.")
        elif name in _needs_board(machine) and found["board"].level == WRONG:
            # One cause makes one finding: without a board the other checks would fail, too.
            found[name] = Finding(SKIPPED, "There is no board that RKLLM supports.")
        elif (finding := check(machine)) is not None:
            found[name] = finding
    return found


def _needs_board(machine: Machine) -> frozenset[str]:
    """Return the checks that only a board can pass; a named library may be wrong on any machine."""
    return NPU_ONLY - {"board"} | (frozenset() if machine.library_is_named else {"runtime"})
