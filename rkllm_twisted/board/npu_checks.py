"""Checks of the board, the driver and the permissions that Rockchip's library needs. Pure."""

from __future__ import annotations

import shlex

from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG, Finding
from rkllm_twisted.board.machine import Machine, Node

#: The oldest driver that the vendor's guide allows.
OLDEST_DRIVER = (0, 9, 8)
#: The vendor's own server asks for the first number. Each buffer of the NPU is an open file.
FILES_WANTED, FILES_NEEDED = 102400, 4096
#: The architectures that librkllmrt is built for.
ARCHITECTURES = frozenset({"aarch64", "armv7l"})
#: The chips that RKLLM supports, by the beginning of their names in the device tree.
CHIPS = ("rk3588", "rk3576", "rk3562", "rv1126b")
THROTTLES_AT_CELSIUS = 85.0
#: Governors that do not change the frequency.
FIXED = frozenset({"performance", "userspace"})


def board(machine: Machine) -> Finding:
    """Check that this is a board that RKLLM supports."""
    chips = [name.partition(",")[2] for name in machine.compatible if name.startswith("rockchip,")]
    supported = [chip for chip in chips if chip.startswith(CHIPS)]
    if supported:
        return Finding(OK, f"This is a board with Rockchip's {supported[-1]}.")
    if chips:
        return Finding(
            WRONG,
            f"RKLLM does not support Rockchip's {chips[-1]}: it needs an RK3588, RK3576, RK3562 or"
            " RV1126B.",
            "twistd -n rkllm --library cpu",
        )
    if machine.in_container and machine.architecture in ARCHITECTURES:
        return Finding(
            WARNING,
            "The device tree cannot be seen in this container; the runtime reads it.",
            "docker run --security-opt systempaths=unconfined …, or procMount: Unmasked in a pod",
        )
    return Finding(
        WRONG,
        "This is no Rockchip board: there is no NPU that RKLLM could use.",
        "twistd -n rkllm --library cpu",
    )


def driver(machine: Machine) -> Finding:
    """Check that the kernel has the driver, and that it is new enough."""
    if machine.driver is not None:
        version, needed = _dotted(machine.driver), _dotted(OLDEST_DRIVER)
        if machine.driver >= OLDEST_DRIVER:
            return Finding(OK, f"The rknpu driver is {version}.")
        return Finding(
            WRONG,
            f"The rknpu driver is {version}, and RKLLM needs {needed} or newer: the kernel is too"
            " old.",
            "sudo apt-get update && sudo apt-get full-upgrade && sudo reboot",
        )
    if machine.driver_forbidden:
        return Finding(
            WARNING,
            "Only root may read the rknpu driver's version.",
            "sudo cat /sys/kernel/debug/rknpu/version",
        )
    if machine.nodes:
        return Finding(
            WARNING,
            "The rknpu driver does not say its version: debugfs is not mounted.",
            "sudo mount -t debugfs none /sys/kernel/debug",
        )
    if machine.has_rocket:
        return Finding(
            WRONG,
            "This kernel has mainline's driver for the NPU (rocket), which librkllmrt cannot use.",
            "boot the board maker's kernel (5.10 or 6.1 with rknpu)",
        )
    return Finding(
        WRONG,
        "This kernel has no rknpu driver, or its device tree does not enable the NPU.",
        "boot the board maker's kernel (5.10 or 6.1 with rknpu)",
    )


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


def devices(machine: Machine) -> Finding:
    """Check that the NPU's device nodes exist, and that the daemon may use them."""
    if machine.node_is_link:
        return Finding(
            WRONG,
            "/dev/rknpu is a symbolic link, which makes the runtime talk to the driver in a way"
            " that it does not understand.",
            "sudo rm /dev/rknpu",
        )
    if not machine.nodes:
        if machine.in_container:
            return Finding(
                WRONG,
                "The NPU's device nodes are not in this container.",
                "docker run --device /dev/dri …, or a device plugin for a pod",
            )
        return Finding(
            WRONG,
            "There is no device node of the NPU, neither in /dev/dri nor /dev/rknpu.",
            "sudo dmesg | grep -i rknpu",
        )
    shut = [node for node in machine.nodes if not node.lets_in(machine.account)]
    if shut:
        return Finding(WRONG, _shut_text(shut, machine), _permission_remedy(shut, machine))
    return Finding(OK, f"{machine.account.name} may use {_listed(machine.nodes)}.")


def heaps(machine: Machine) -> Finding | None:
    """Check that the daemon may allocate memory that devices can read."""
    shut = [node for node in machine.heaps if not node.lets_in(machine.account)]
    if not machine.heaps:
        return None
    if shut:
        return Finding(WARNING, _shut_text(shut, machine), _permission_remedy(shut, machine))
    return Finding(OK, f"{machine.account.name} may use {_listed(machine.heaps)}.")


def _listed(nodes: tuple[Node, ...] | list[Node]) -> str:
    return " and ".join(node.path for node in nodes)


def _shut_text(nodes: list[Node], machine: Machine) -> str:
    return f"{machine.account.name} may not read and write {_listed(nodes)}."


def _permission_remedy(nodes: list[Node], machine: Machine) -> str:
    """Return the remedy: join the groups that may use the nodes, else give the nodes to video."""
    by_group = [node for node in nodes if node.gid != 0 and node.mode & 0o060 == 0o060]
    if len(by_group) == len(nodes):
        groups = ",".join(sorted({node.group or str(node.gid) for node in nodes}))
        if machine.account.name.isdigit():  # usermod knows no user without a name
            options = " ".join(f"--group-add {node.gid}" for node in nodes)
            return f"docker run {options} …, or start it with the groups {groups}"
        return f"sudo usermod -aG {groups} {shlex.quote(machine.account.name)}, then log in again"
    paths = " ".join(node.path for node in nodes)
    return f"sudo chgrp video {paths} && sudo chmod 0660 {paths}, and a udev rule to keep it"


def descriptors(machine: Machine) -> Finding:
    """Check that the runtime may open enough files."""
    limit = machine.open_files
    if limit is None:
        return Finding(SKIPPED, "The limit of open files cannot be read.")
    if limit >= FILES_WANTED:
        return Finding(OK, f"The runtime may open {limit} files.")
    return Finding(
        WRONG if limit < FILES_NEEDED else WARNING,
        f"The runtime may open {limit} files, and the vendor's server asks for {FILES_WANTED}: each"
        " buffer of the NPU is one.",
        f"sudo prlimit --pid $$ --nofile={FILES_WANTED}, or LimitNOFILE={FILES_WANTED} in the unit",
    )


def governor(machine: Machine) -> Finding:
    """Check that NPU, memory and processors run at a fixed frequency."""
    if not machine.governors:
        return Finding(SKIPPED, "This kernel does not name the governors of the frequencies.")
    slow = {name: held for name, held in machine.governors.items() if held not in FIXED}
    if not slow:
        return Finding(OK, "The frequencies of NPU, memory and processors are fixed.")
    held = ", ".join(sorted(set(slow.values())))
    return Finding(
        WARNING,
        f"Frequencies go up and down while a model runs ({held}), which makes answers slower.",
        f"echo performance | sudo tee {' '.join(slow)}",
    )


def heat(machine: Machine) -> Finding:
    """Check that heat does not slow the chip down."""
    if machine.celsius is None:
        return Finding(SKIPPED, "This kernel does not say how hot the NPU is.")
    if machine.celsius >= THROTTLES_AT_CELSIUS:
        return Finding(
            WARNING,
            f"The NPU has {machine.celsius:.0f} °C: the kernel slows it down.",
            "cool the board: a heat sink, a fan",
        )
    return Finding(OK, f"The NPU has {machine.celsius:.0f} °C.")
