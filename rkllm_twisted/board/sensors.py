"""Reads the values that change while a model runs: the NPU's load and heat, and memory.

Sources: the rknpu driver's ``rknpu_debugger.c`` (``load`` and ``version`` in debugfs, which only
root may read, and on some kernels in ``/proc/rknpu``), devfreq, thermal zones, proc(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from rkllm_twisted.board.sysfs import RootedFiles

#: The driver's files with its load; the first that can be read counts. The ``load`` of devfreq is
#: not among them: under the vendor's governor it is 100 % at all times.
LOAD = ("proc/rknpu/load", "sys/kernel/debug/rknpu/load")
NPU_FREQUENCY = "sys/class/devfreq/*npu*/cur_freq"
ZONES = "sys/class/thermal/thermal_zone*"
#: Types of thermal zones, the nearest to the NPU first.
NEAREST = ("npu", "soc", "cpu")
_PERCENT = re.compile(r"(\d+)\s*%")
_KIB = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@attrs.frozen
class Readings:
    """The state of the machine now; None for a value that it does not report.

    :param npu_load: percent, one number per core of the NPU.
    :param npu_hz: the NPU's frequency in Hz.
    :param celsius: the temperature of the NPU, or of the nearest sensor.
    :param memory_available: bytes that are available without swapping.
    :param memory_total: bytes.
    :param resident: bytes that the daemon and its children hold.
    """

    npu_load: tuple[int, ...] | None
    npu_hz: int | None
    celsius: float | None
    memory_available: int | None
    memory_total: int | None
    resident: int | None


def read(files: RootedFiles, pid: int | None = None) -> Readings:
    """Read all values.

    :param pid: the daemon's process; None if it is not known.
    """
    memory = kibibytes(files.text("proc/meminfo"))
    return Readings(
        npu_load(files),
        npu_hz(files),
        celsius(files),
        memory.get("MemAvailable"),
        memory.get("MemTotal"),
        None if pid is None else resident(files, pid),
    )


def npu_load(files: RootedFiles) -> tuple[int, ...] | None:
    """Return the load of each core in percent.

    The driver's text is ``NPU load:  Core0: 12%, Core1:  0%,`` or ``NPU load:  7%``.
    """
    for name in LOAD:
        found = _PERCENT.findall(files.text(name) or "")
        if found:
            return tuple(map(int, found))
    return None


def npu_hz(files: RootedFiles) -> int | None:
    """Return the NPU's frequency in Hz."""
    return next((files.number(name) for name in files.glob(NPU_FREQUENCY)), None)


def celsius(files: RootedFiles) -> float | None:
    """Return the temperature of the zone that is nearest to the NPU."""
    zones = temperatures(files)
    return next((zones[kind] for near in NEAREST for kind in zones if near in kind), None)


def temperatures(files: RootedFiles) -> Mapping[str, float]:
    """Return the temperature of each thermal zone, in °C, by the zone's type."""
    zones = {files.text(f"{zone}/type") or "": zone for zone in files.glob(ZONES)}
    read = {kind: files.number(f"{zone}/temp") for kind, zone in zones.items()}
    return {kind: degrees / 1000 for kind, degrees in read.items() if degrees is not None}


def kibibytes(text: str | None) -> Mapping[str, int]:
    """Read the lines ``Name: 123 kB`` of a file of proc(5); bytes by name."""
    return {name: int(number) * 1024 for name, number in _KIB.findall(text or "")}


def resident(files: RootedFiles, pid: int) -> int | None:
    """Return the bytes that a process and its descendants hold; shared pages count for each."""
    tree = process_tree(files, pid)
    found = [kibibytes(files.text(f"proc/{each}/status")).get("VmRSS") for each in tree]
    known = [size for size in found if size is not None]
    return sum(known) if known else None


def process_tree(files: RootedFiles, pid: int) -> Iterator[int]:
    """Return a process and its descendants."""
    yield pid
    for child in (files.text(f"proc/{pid}/task/{pid}/children") or "").split():
        yield from process_tree(files, int(child))
