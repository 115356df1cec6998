"""Reads the NPU's driver, its device nodes, and the governors of frequencies.

Sources: the rknpu driver (``rknpu_debugger.c``, ``rknpu_drv.c``), drm(7), devfreq and cpufreq in
sysfs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rkllm_twisted.board.sysfs import RootedFiles

#: The driver's files with its version; the first that can be read counts.
DRIVER_VERSION = (
    "proc/rknpu/version",
    "sys/kernel/debug/rknpu/version",
    "sys/module/rknpu/version",
)
#: Exists if the mainline driver has the NPU; librkllmrt cannot use that driver.
ROCKET = ("sys/module/rocket", "sys/class/accel/accel0")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

#: Major, minor, patch level.
DriverVersion = tuple[int, int, int]


def driver_version(files: RootedFiles) -> DriverVersion | None:
    """Return the version in ``RKNPU driver: v0.9.8``."""
    for name in DRIVER_VERSION:
        found = _VERSION.search(files.text(name) or "")
        if found:
            return (int(found[1]), int(found[2]), int(found[3]))
    return None


def npu_nodes(files: RootedFiles) -> list[str]:
    """Return the device nodes of the NPU.

    A driver that is built for DRM has a card and a render node, with numbers that depend on the
    board; any other has ``/dev/rknpu``.
    """
    cards = files.glob("sys/class/drm/card*") + files.glob("sys/class/drm/renderD*")
    mine = [card for card in cards if "rknpu" in _driver_of(files, card).lower()]
    found = [f"dev/dri/{card.rpartition('/')[2]}" for card in mine]
    return found + (["dev/rknpu"] if files.exists("dev/rknpu") else [])


def _driver_of(files: RootedFiles, card: str) -> str:
    """Return the text with DRIVER= and OF_COMPATIBLE_0= of a DRM node's device."""
    return files.text(f"{card}/device/uevent") or ""


def governors(files: RootedFiles) -> Mapping[str, str]:
    """Return the governors of the NPU, of memory, and of the processors."""
    names = [
        *files.glob("sys/class/devfreq/*npu*/governor"),
        *files.glob("sys/class/devfreq/dmc/governor"),
        *files.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_governor"),
    ]
    return {f"/{name}": text for name in names if (text := files.text(name))}
