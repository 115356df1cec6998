"""Each check, on a good board and on bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sysfs_trees import DAEMON, EMBEDDED, GIB, ROCK_5B, machine, paint

from rkllm_twisted.board.checks import CHECKS, NPU_ONLY, run_checks
from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG, Finding
from rkllm_twisted.board.machine import Account, Daemon

DRM = [name for name in ROCK_5B if name.startswith(("sys/class/drm", "dev/dri"))]
NO_NODES = dict.fromkeys(DRM)
VERSION = "sys/kernel/debug/rknpu/version"
STRANGER = Account(1001, frozenset({1001}), "anna")
LIMITS = "Max open files            1024                 {:<20} files\n"


def find(root: Path, check: str, changes: Any = None, **given: Any) -> Finding:
    """Return one check's finding on a board with changes."""
    files = paint(root, changes, given.pop("owners", {}), given.pop("forbidden", frozenset()))
    return run_checks(machine(files, **given))[check]


def test_a_good_board_is_good(tmp_path: Path) -> None:
    """All checks pass; only memory is skipped."""
    found = run_checks(machine(paint(tmp_path)))
    assert list(found) == list(CHECKS)
    assert {name: f.level for name, f in found.items() if f.level != OK} == {"memory": SKIPPED}
    assert all(f.remedy is None for f in found.values())


#: Check and changes on the board -> level, words of the message, words of the remedy.
BAD: Mapping[str, tuple[str, dict[str, Any], str, str, str]] = {
    "a PC": ("board", {"proc/device-tree/compatible": None}, WRONG, "no NPU", "--library cpu"),
    "a container without device tree": (
        "board",
        {"proc/device-tree/compatible": None, ".dockerenv": ""},
        WARNING,
        "container",
        "systempaths=unconfined",
    ),
    **{
        f"an {chip}": (
            "board",
            {"proc/device-tree/compatible": f"maker,board\0rockchip,{chip}\0"},
            WRONG,
            chip,
            "--library cpu",
        )
        for chip in ("rk3566", "rk3568", "rk3399")
    },
    **{
        f"a board with {chip}": (
            "board",
            {"proc/device-tree/compatible": f"maker,board\0rockchip,{chip}\0"},
            OK,
            chip,
            "",
        )
        for chip in ("rk3588s", "rk3576", "rk3562", "rv1126b")
    },
    "an old driver": ("driver", {VERSION: "RKNPU driver: v0.9.6"}, WRONG, "0.9.6", "upgrade"),
    "a driver of 0.10": ("driver", {VERSION: "RKNPU driver: v0.10.0"}, OK, "0.10.0", ""),
    "debugfs is not mounted": ("driver", {VERSION: None}, WARNING, "debugfs", "mount -t debugfs"),
    "mainline's kernel": (
        "driver",
        {**NO_NODES, VERSION: None, "sys/module/rocket/refcnt": "0"},
        WRONG,
        "rocket",
        "kernel",
    ),
    "no driver": ("driver", {**NO_NODES, VERSION: None}, WRONG, "no rknpu driver", "kernel"),
    "no nodes": ("devices", NO_NODES, WRONG, "no device node", "dmesg"),
    "no nodes in a container": (
        "devices",
        {**NO_NODES, ".dockerenv": ""},
        WRONG,
        "not in this container",
        "--device /dev/dri",
    ),
    "few files": (
        "descriptors",
        {"proc/self/limits": LIMITS.format(1024)},
        WRONG,
        "1024",
        "102400",
    ),
    "not many files": (
        "descriptors",
        {"proc/self/limits": LIMITS.format(65536)},
        WARNING,
        "65536",
        "LimitNOFILE=102400",
    ),
    "files without end": (
        "descriptors",
        {"proc/self/limits": LIMITS.format("unlimited")},
        OK,
        "may open",
        "",
    ),
    "limits that cannot be read": (
        "descriptors",
        {"proc/self/limits": None},
        SKIPPED,
        "cannot be read",
        "",
    ),
    "the vendor's governor": (
        "governor",
        {"sys/class/devfreq/fdab0000.npu/governor": "rknpu_ondemand"},
        WARNING,
        "rknpu_ondemand",
        "echo performance | sudo tee /sys/class/devfreq/fdab0000.npu/governor",
    ),
    "a hot chip": (
        "heat",
        {"sys/class/thermal/thermal_zone6/temp": "91000"},
        WARNING,
        "91",
        "cool",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_board_is_found(tmp_path: Path, case: str) -> None:
    """The finding has the level, the wrong figure or name, and the remedy."""
    check, changes, level, message, remedy = BAD[case]
    found = find(tmp_path, check, changes)
    assert found.level == level
    assert message in found.message
    assert found.message.endswith(".")
    assert (remedy in found.remedy) if found.remedy else not remedy


def test_a_container_on_a_pc_is_no_board(tmp_path: Path) -> None:
    """No librkllmrt exists for its processor."""
    files = paint(tmp_path, {"proc/device-tree/compatible": None, ".dockerenv": ""})
    assert run_checks(machine(files, architecture="x86_64"))["board"].level == WRONG


MOUNT = "36 35 0:42 {root} {point} rw,relatime - {kind} {source} rw{options}\n"
#: Kind of container -> the files that identify it.
CONTAINERS: Mapping[str, dict[str, str]] = {
    "Docker": {".dockerenv": ""},
    "Podman": {"run/.containerenv": ""},
    "a pod with a service account": {"var/run/secrets/kubernetes.io/serviceaccount/token": "x"},
    "a pod with nothing": {
        "proc/self/mountinfo": MOUNT.format(
            root="/var/lib/kubelet/pods/7/etc-hosts",
            point="/etc/hosts",
            kind="ext4",
            source="/dev/mmcblk0p2",
            options="",
        )
    },
    "containerd": {
        "proc/self/mountinfo": MOUNT.format(
            root="/",
            point="/",
            kind="overlay",
            source="overlay",
            options=",upperdir=/var/lib/containerd/snapshots/9/fs",
        )
    },
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_a_container_is_known(tmp_path: Path, case: str) -> None:
    """A container hides the device tree, so the check does not claim that the board is wrong."""
    changes = {"proc/device-tree/compatible": None, **CONTAINERS[case]}
    assert find(tmp_path, "board", changes).level == WARNING


def test_a_host_that_runs_containers_is_no_container(tmp_path: Path) -> None:
    """Such a host has mounts of containers below /var/lib."""
    mount = MOUNT.format(
        root="/", point="/var/lib/docker/overlay2/7", kind="overlay", source="overlay", options=""
    )
    changes = {**NO_NODES, "proc/self/mountinfo": mount}
    assert "container" not in find(tmp_path, "devices", changes).message


def test_off_a_board_one_cause_is_one_finding(tmp_path: Path) -> None:
    """Checks that need a board are skipped."""
    runtime = "There is no librkllmrt.so on the loader's path."
    found = run_checks(machine(paint(tmp_path, dict.fromkeys(ROCK_5B)), runtime=runtime))
    assert [name for name, f in found.items() if f.level == WRONG] == ["board"]


def test_a_library_that_is_named_is_judged_off_a_board_too(tmp_path: Path) -> None:
    """A wrong library is a second finding beside the missing board."""
    files = paint(tmp_path, dict.fromkeys(ROCK_5B))
    found = run_checks(machine(files, runtime="There is no x.so.", library_is_named=True))
    assert [name for name, f in found.items() if f.level == WRONG] == ["board", "runtime"]


def test_an_account_without_a_name_is_not_for_usermod(tmp_path: Path) -> None:
    """The account may have a number only, as in a container."""
    account = Account(12345, frozenset({12345}), "12345")
    found = find(tmp_path, "devices", account=account)
    assert found.remedy is not None
    assert found.remedy.startswith("docker run --group-add 44 ")


def test_a_driver_whose_version_is_roots_is_no_error(tmp_path: Path) -> None:
    """The driver exists; the remedy is the command that root can use to show its version."""
    found = find(tmp_path, "driver", forbidden=frozenset({VERSION}))
    assert found.level == WARNING
    assert found.remedy == f"sudo cat /{VERSION}"


def test_an_account_in_no_group_of_the_nodes_is_wrong(tmp_path: Path) -> None:
    """Card and render node may belong to different groups."""
    found = find(
        tmp_path, "devices", account=STRANGER, owners={"dev/dri/renderD129": (0o660, 0, 105)}
    )
    assert found.level == WRONG
    assert "anna" in found.message
    assert "/dev/dri/card1 and /dev/dri/renderD129" in found.message
    assert found.remedy == "sudo usermod -aG render,video anna, then log in again"


def test_nodes_of_roots_own_need_a_group_first(tmp_path: Path) -> None:
    """The remedy does not suggest joining the group root."""
    found = find(tmp_path, "heaps", owners={"dev/dma_heap/system": (0o600, 0, 0)})
    assert found.level == WARNING
    assert found.remedy is not None
    assert found.remedy.startswith("sudo chgrp video /dev/dma_heap/system")


def test_a_board_without_heaps_has_no_finding_about_them(tmp_path: Path) -> None:
    """Older kernels have no heaps."""
    files = paint(tmp_path, {"dev/dma_heap/system": None})
    assert "heaps" not in run_checks(machine(files))


def test_the_daemons_account_counts_where_it_answers(tmp_path: Path) -> None:
    """The check uses the daemon's account instead of the caller's."""
    status = {"proc/7/status": "Uid:\t1001\t1001\t1\t1\nGid:\t1001\t1001\t1\t1\nGroups:\t1001 \n"}
    daemon = Daemon("/run/rkllm.sock", status={"state": "empty", "pid": 7})
    found = find(tmp_path, "devices", status, daemon=daemon)
    assert found.level == WRONG
    assert "1001 may not" in found.message


def test_a_node_without_drm_is_found(tmp_path: Path) -> None:
    """Other kernels have /dev/rknpu instead."""
    found = find(tmp_path, "devices", {**NO_NODES, "dev/rknpu": ""})
    assert found.level == OK
    assert "/dev/rknpu" in found.message


def test_a_symbolic_link_as_node_is_wrong(tmp_path: Path) -> None:
    """The runtime would use the wrong interface."""
    files = paint(tmp_path)
    (tmp_path / "dev/rknpu").symlink_to("dri/renderD129")
    found = run_checks(machine(files))["devices"]
    assert (found.level, found.remedy) == (WRONG, "sudo rm /dev/rknpu")


@pytest.mark.parametrize(
    ("gib", "available", "level"),
    [(1, 4, OK), (4, 4.5, WARNING), (4, 3, WRONG)],
)
def test_a_model_must_fit(tmp_path: Path, gib: float, available: float, level: str) -> None:
    """The model needs its file's size and a fifth more for the context."""
    files = paint(tmp_path, {"proc/meminfo": f"MemAvailable: {int(available * GIB / 1024)} kB\n"})
    with (tmp_path / "m.rkllm").open("wb") as file:
        file.truncate(int(gib * GIB))
    found = run_checks(machine(files, model="/m.rkllm"))["memory"]
    assert found.level == level
    assert f"{gib:.1f} GiB" in found.message


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    """The finding names the missing file."""
    found = find(tmp_path, "memory", model="/nowhere.rkllm")
    assert found.level == WRONG
    assert "/nowhere.rkllm" in found.message


def test_a_loaded_model_fits(tmp_path: Path) -> None:
    """The free memory does not matter then."""
    daemon = Daemon("/run/rkllm.sock", status={"state": "loaded", "model_path": "/m.rkllm"})
    found = find(tmp_path, "memory", {"m.rkllm": "x"}, daemon=daemon)
    assert (found.level, "loaded" in found.message) == (OK, True)


def test_a_missing_library_has_its_own_sentence(tmp_path: Path) -> None:
    """The finding has the same sentence as twistd's error."""
    found = find(tmp_path, "runtime", runtime="There is no librkllmrt.so on the loader's path.")
    assert (found.level, found.message[:8]) == (WRONG, "There is")


def test_a_library_that_lacks_libgomp_has_the_package_as_remedy(tmp_path: Path) -> None:
    """The remedy names Debian's package."""
    words = "librkllmrt.so cannot be loaded: libgomp.so.1: cannot open shared object file."
    assert find(tmp_path, "runtime", runtime=words).remedy == "sudo apt-get install libgomp1"


def test_the_release_and_its_layout_are_named(tmp_path: Path) -> None:
    """The finding also says how the layout was chosen."""
    found = find(tmp_path, "runtime")
    assert found.level == OK
    assert "release 1.2.3" in found.message
    assert "layout of 1.2.1" in found.message


def test_the_embedded_runtime_needs_no_board(tmp_path: Path) -> None:
    """The NPU checks are skipped on any machine."""
    found = run_checks(machine(paint(tmp_path, dict.fromkeys(ROCK_5B)), runtime=EMBEDDED))
    assert {name for name, f in found.items() if f.level == SKIPPED} >= NPU_ONLY
    assert WRONG not in {f.level for f in found.values()}


def test_no_daemon_is_wrong(tmp_path: Path) -> None:
    """The finding has the client's sentence."""
    daemon = Daemon("/run/rkllm.sock", "No daemon listens.", "twistd -n rkllm")
    found = find(tmp_path, "daemon", daemon=daemon)
    assert found == Finding(WRONG, "No daemon listens.", "twistd -n rkllm")


@pytest.mark.parametrize("state", ["stuck", "failed"])
def test_a_daemon_without_a_runtime_is_wrong(tmp_path: Path, state: str) -> None:
    """The finding says why the runtime ended."""
    daemon = Daemon("/run/rkllm.sock", status={"state": state, "problem": "killed by SIGSEGV"})
    found = find(tmp_path, "daemon", daemon=daemon)
    assert found.level == WRONG
    assert "SIGSEGV" in found.message


def test_a_socket_for_every_user_is_a_warning(tmp_path: Path) -> None:
    """Every user could unload the model."""
    found = find(tmp_path, "socket", owners={"run/rkllm.sock": (0o666, 0, 0)}, daemon=DAEMON)
    assert found.level == WARNING
    assert "0666" in found.message
