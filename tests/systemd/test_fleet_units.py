"""The units of a fleet's bridge and front, without an init."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit_files import DAEMON, ETC, assignments, needs, setting, told, units_in

from rkllm_twisted.fleet_service.board_options import SETTINGS as BOARD_SETTINGS
from rkllm_twisted.fleet_service.board_service import LEAVE_S
from rkllm_twisted.fleet_service.front import DRAIN_S
from rkllm_twisted.fleet_service.front_options import SETTINGS as FRONT_SETTINGS

BOARD, FRONT = "rkllm-board.service", "rkllm-fleet.service"
ALL = {BOARD: BOARD_SETTINGS, FRONT: FRONT_SETTINGS}


def values(name: str, unit: str) -> list[str]:
    """All words of a setting that may be repeated."""
    return [word for other, value in assignments(unit) if other == name for word in value.split()]


@needs("systemd-analyze", "systemd")
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    root = units_in(tmp_path, BOARD, FRONT, "rkllm-fleet.socket", "rkllm.socket", "rkllm.service")
    verify = ["systemd-analyze", "verify", f"--root={root}", "--man=no"]
    assert told(*verify, BOARD, FRONT, "rkllm-fleet.socket") == ""


@pytest.mark.parametrize("unit", [BOARD, FRONT])
def test_the_services_options_are_the_programs(unit: str) -> None:
    known = {setting.variable_of(name) for name, setting in ALL[unit].items()}
    names = {variable.partition("=")[0] for variable in values("Environment", unit)}
    assert names <= {*known, "RKLLM_UDS_PATH", "PYTHONPATH"}
    command = setting("ExecStart", unit).split()
    program = unit.removesuffix(".service")
    assert command == [f"/{DAEMON}", "--nodaemon", "--pidfile=", program]


def test_an_ordered_stop_is_not_cut_off() -> None:
    assert int(setting("TimeoutStopSec", BOARD)) > LEAVE_S
    assert int(setting("TimeoutStopSec", FRONT)) > DRAIN_S


@pytest.mark.parametrize("unit", [BOARD, FRONT])
def test_a_service_has_a_user_that_may_use_daemons_and_dials_out_only(unit: str) -> None:
    assert setting("User", unit) == "rkllm-fleet"
    assert values("RestrictAddressFamilies", unit) == ["AF_UNIX", "AF_INET", "AF_INET6"]
    assert "m rkllm-fleet rkllm" in (ETC / "rkllm.sysusers").read_text().splitlines()
