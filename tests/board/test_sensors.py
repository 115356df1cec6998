"""NPU load, frequency, temperature and memory, as kernels report them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sysfs_trees import GIB, paint

from rkllm_twisted.board.sensors import Readings, read
from rkllm_twisted.board.sysfs import RootedFiles


def test_a_board_says_all(tmp_path: Path) -> None:
    """The load is per core and the temperature the NPU's own; devfreq's load is always 100."""
    found = read(paint(tmp_path))
    assert found == Readings((37, 0, 5), 1_000_000_000, 43.461, 12 * GIB, 16_384_000_000, None)


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    """A missing file gives no reading and no error."""
    assert read(RootedFiles(tmp_path), 1) == Readings(None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("text", "load"),
    [
        ("NPU load:  7%\n", (7,)),
        ("NPU load:  Core0:  0%, Core1: 12%,\n", (0, 12)),
        ("NPU load: Core0: 100%, Core1: 100%, Core2: 100%,", (100, 100, 100)),
        ("", None),
        ("busy", None),
    ],
)
def test_the_driver_writes_load_in_these_ways(
    tmp_path: Path, text: str, load: tuple[int, ...] | None
) -> None:
    """The formats for one core, two (RK3576) and three (RK3588), and an invalid one."""
    assert read(paint(tmp_path, {"proc/rknpu/load": text})).npu_load == load


def test_load_in_debugfs_does_where_proc_has_none(tmp_path: Path) -> None:
    """Most kernels need root for debugfs."""
    changes = {"proc/rknpu/load": None, "sys/kernel/debug/rknpu/load": "NPU load:  9%"}
    assert read(paint(tmp_path, changes)).npu_load == (9,)


def test_load_that_only_root_may_read_is_not_known(tmp_path: Path) -> None:
    """A user without root privileges gets no reading."""
    name = "sys/kernel/debug/rknpu/load"
    files = paint(tmp_path, {"proc/rknpu/load": None, name: "NPU load:  9%"}, {}, frozenset({name}))
    assert read(files).npu_load is None


def test_heat_is_that_of_the_nearest_zone(tmp_path: Path) -> None:
    """The chip's zone is used if the NPU has none."""
    files = paint(tmp_path, {"sys/class/thermal/thermal_zone6/type": "gpu-thermal"})
    assert read(files).celsius == 40.0


def test_memory_is_that_of_the_daemon_and_its_children(tmp_path: Path) -> None:
    """The runtime's child process counts as well."""
    family = {
        "proc/7/status": "Name:\ttwistd\nVmRSS:\t    1000 kB\n",
        "proc/7/task/7/children": "8 ",
        "proc/8/status": "Name:\tpython\nVmRSS:\t    2000 kB\n",
        "proc/8/task/8/children": "",
    }
    assert read(paint(tmp_path, family), 7).resident == 3000 * 1024
