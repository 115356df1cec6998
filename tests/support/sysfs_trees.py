"""Pictures of machines: the files of boards below a directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from rkllm_twisted.board.machine import Account, Daemon, Machine, look_at_machine
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.values import RuntimeVersion

GIB = 2**30
ME = Account(1000, frozenset({1000, 44, 105}), "me")
RUNTIME = RuntimeVersion(
    "/usr/lib/librkllmrt.so", "1.2.3", "1.2.1", "the library's own text says version 1.2.3", "npu"
)
EMBEDDED = RuntimeVersion("/x/librkllm-cpu-1.3.0.so", "1.3.0", "1.3.0", "its text", "cpu (tiny)")
DAEMON = Daemon("/run/rkllm.sock", status={"state": "empty", "model_path": None})

#: A Radxa Rock 5B with the vendor's kernel 6.1, as it should be.
ROCK_5B: Mapping[str, str] = {
    "proc/device-tree/compatible": "radxa,rock-5b\0rockchip,rk3588\0",
    "proc/meminfo": "MemTotal:       16000000 kB\nMemAvailable:   12582912 kB\n",
    "proc/self/limits": "Max open files  1024  1048576  files\n",
    "proc/rknpu/load": "NPU load:  Core0: 37%, Core1:  0%, Core2:  5%,\n",
    "sys/kernel/debug/rknpu/version": "RKNPU driver: v0.9.8\n",
    "sys/class/drm/card0/device/uevent": "DRIVER=rockchip-drm\n",
    "sys/class/drm/card1/device/uevent": "DRIVER=RKNPU\nOF_COMPATIBLE_0=rockchip,rk3588-rknpu\n",
    "sys/class/drm/renderD128/device/uevent": "DRIVER=mali\n",
    "sys/class/drm/renderD129/device/uevent": "DRIVER=RKNPU\n",
    "sys/class/devfreq/fdab0000.npu/cur_freq": "1000000000\n",
    "sys/class/devfreq/fdab0000.npu/load": "100@1000000000Hz\n",
    "sys/class/devfreq/fdab0000.npu/governor": "performance\n",
    "sys/class/devfreq/dmc/governor": "performance\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance\n",
    "sys/class/thermal/thermal_zone0/type": "soc-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "40000\n",
    "sys/class/thermal/thermal_zone6/type": "npu-thermal\n",
    "sys/class/thermal/thermal_zone6/temp": "43461\n",
    "dev/dri/card1": "",
    "dev/dri/renderD128": "",
    "dev/dri/renderD129": "",
    "dev/dma_heap/system": "",
    "run/rkllm.sock": "",
    "etc/group": "root:x:0:\nvideo:x:44:me\nrender:x:105:me\n",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n",
}


@attrs.frozen
class Picture(RootedFiles):
    """A machine's files, some of which only root may read.

    :param owners: mode, user and group of files; 0o660, root and video where left out.
    :param forbidden: files that only root may read.
    """

    owners: Mapping[str, tuple[int, int, int]] = attrs.field(factory=dict)
    forbidden: frozenset[str] = frozenset()

    def read(self, name: str) -> bytes:
        if name in self.forbidden:
            raise PermissionError(name)
        return super().read(name)

    def stat(self, name: str) -> os.stat_result | None:
        found = super().stat(name)
        if found is None:
            return None
        mode, uid, gid = self.owners.get(name, (0o660, 0, 44))
        return type(found)((mode, *found[1:4], uid, gid, *found[6:]))


def paint(
    root: Path,
    changes: Mapping[str, str | None] | None = None,
    owners: Mapping[str, tuple[int, int, int]] | None = None,
    forbidden: frozenset[str] = frozenset(),
) -> Picture:
    """Make the files of a Rock 5B, but for changes; None leaves a file out."""
    for name, text in {**ROCK_5B, **(changes or {})}.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return Picture(root, owners or {}, forbidden)


def machine(files: Picture, **given: object) -> Machine:
    """Look at a picture as the user ``me``, with a daemon that answers and Rockchip's library."""
    values = {"account": ME, "runtime": RUNTIME, "daemon": DAEMON, "model": None, **given}
    return look_at_machine(files, **values)  # type: ignore[arg-type]
