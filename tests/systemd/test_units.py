"""The files for systemd and udev, checked by systemd's tools as far as possible without an init.

docs/operations.md says what is left to check on a board, and how.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from daemons import Daemon

from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.service import CLOSE_GRACE_S, DRAIN_S
from rkllm_twisted.isolation.heartbeat import CHECK_INTERVAL_S as HEARTBEAT_CHECK_S
from rkllm_twisted.isolation.heartbeat import MAX_MISSED_ALIVE
from rkllm_twisted.isolation.supervisor import CHILD_EXIT_WAIT_S
from rkllm_twisted.systemd.service import CHECK_INTERVAL_S

ETC = Path(__file__).parents[2] / "etc"
DAEMON = "usr/lib/rkllm-twisted/bin/twistd"
#: Runs a command without memory that is writable and executable: PR_SET_MDWE of prctl(2).
UNWRITABLE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(1)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def needs(tool: str, package: str) -> pytest.MarkDecorator:
    """Skip the test if a tool is missing, and name the tool's package."""
    reason = f"{tool} is not installed (package {package})"
    return pytest.mark.skipif(shutil.which(tool) is None, reason=reason)


def told(*command: str | Path) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@cache
def assignments(unit: str) -> tuple[tuple[str, str], ...]:
    """All assignments of a unit, in their order."""
    lines = (ETC / unit).read_text().splitlines()
    return tuple(
        (name, value)
        for name, is_one, value in (line.partition("=") for line in lines)
        if is_one and not name.startswith("#")
    )


def setting(name: str, unit: str = "rkllm.service") -> str:
    """The one value of a setting."""
    (value,) = (value for other, value in assignments(unit) if other == name)
    return value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with the units, their targets, and a program to start."""
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for directory in (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system")):
        for unit in (*directory.glob("*.target"), *directory.glob("*.slice")):
            shutil.copy(unit, units)
    for name in ("rkllm.service", "rkllm.socket"):
        shutil.copy(ETC / name, units)
    (tmp_path / DAEMON).parent.mkdir(parents=True)
    (tmp_path / DAEMON).write_text("#!/bin/sh\n")
    (tmp_path / DAEMON).chmod(0o755)
    return tmp_path


@needs("systemd-analyze", "systemd")
def test_systemd_has_nothing_to_say_against_the_units(root: Path) -> None:
    """systemd-analyze reports no error and no unknown key."""
    verify = ["systemd-analyze", "verify", f"--root={root}", "--man=no"]
    assert told(*verify, "rkllm.service", "rkllm.socket") == ""


@needs("systemd-analyze", "systemd")
def test_the_service_is_as_closed_as_it_can_be(root: Path) -> None:
    """The service can reach only the NPU, /proc/device-tree, and the clients' user ids."""
    said = told("systemd-analyze", "security", "--offline=true", ETC / "rkllm.service")
    exposure = re.search(r"Overall exposure level for rkllm\.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= 2.5


def test_the_npu_stays_in_reach() -> None:
    """Each of these settings has broken access to an NPU before."""
    names = [name for name, _ in assignments("rkllm.service")]
    assert "PrivateDevices" not in names
    assert "ProcSubset" not in names
    assert "PrivateUsers" not in names, "SO_PEERCRED would name everybody nobody"
    assert set(setting("SupplementaryGroups").split()) == {"render", "video"}
    allowed = {value for name, value in assignments("rkllm.service") if name == "DeviceAllow"}
    assert allowed == {"char-drm rw", "char-dma_heap rw", "/dev/rknpu rw"}
    assert int(setting("LimitNOFILE")) >= 102_400
    assert "~@resources" not in [value for _, value in assignments("rkllm.service")]


def test_the_times_fit_the_daemons() -> None:
    """An ordered stop is not cut off, and a runtime that recovers is no dead daemon."""
    assert int(setting("TimeoutStopSec")) > DRAIN_S + CLOSE_GRACE_S + CHILD_EXIT_WAIT_S
    watchdog = int(setting("WatchdogSec"))
    assert watchdog / 2 + CHECK_INTERVAL_S + MAX_MISSED_ALIVE * HEARTBEAT_CHECK_S < watchdog


def test_the_services_options_are_the_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are in the service's command and variables."""
    (variables,) = (v for name, v in assignments("rkllm.service") if name == "Environment")
    names = {setting.variable_of(option) for option, setting in SETTINGS.items()}
    for name, _, value in (variable.partition("=") for variable in variables.split()):
        assert name in names
        monkeypatch.setenv(name, value.replace("/etc/", f"{ETC}/"))
    command, _, arguments = setting("ExecStart").partition(" rkllm")
    assert command.split() == [f"/{DAEMON}", "--nodaemon", "--pidfile="]
    Options().parseOptions(arguments.split())


def test_the_socket_is_for_a_group() -> None:
    """The installation makes the daemon's user its first member."""
    assert setting("SocketMode", "rkllm.socket") == "0660"
    assert setting("SocketGroup", "rkllm.socket") == setting("User") == "rkllm"


@cache
def members(group: str) -> frozenset[str]:
    """The system calls of one of systemd's groups."""
    lines = told("systemd-analyze", "syscall-filter", "--no-pager", group).splitlines()
    names = {line.strip() for line in lines[1:] if line.strip() and "#" not in line}
    return frozenset(
        call for name in names for call in (members(name) if name.startswith("@") else [name])
    )


def allowed_calls() -> set[str]:
    """The system calls that the service's SystemCallFilter= permits."""
    calls: set[str] = set()
    for name, value in assignments("rkllm.service"):
        if name == "SystemCallFilter" and value.startswith("~"):
            calls -= members(value[1:])
        elif name == "SystemCallFilter":
            calls |= members(value)
    return calls


@needs("systemd-analyze", "systemd")
@needs("strace", "strace")
def test_the_daemon_makes_no_call_that_the_service_forbids(
    start: Callable[..., Daemon], script: Callable[[str], Path], tmp_path: Path
) -> None:
    """The trace covers start, child, model, stream, crash and stop."""
    trace = tmp_path / "trace"
    daemon = start("--child-cpus=0", wrapper=["strace", "-D", "-f", "-qq", "-o", str(trace)])
    daemon.load(script('run when "die"\nsegv\nrun\ntoken "Hello"\nfinish\n'))
    with daemon.connect() as client:
        client.stream("rkllm.run_async", [{"prompt_input": "hi"}])
        assert client.ask("rkllm.run", [{"prompt_input": "die"}])["error"]["code"] == -32004
    assert daemon.stop() == 0
    made = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(), re.MULTILINE))
    assert {"accept4", "execve", "sched_setaffinity"} <= made
    assert made - allowed_calls() == set()


def test_the_daemon_needs_no_writable_code(
    start: Callable[..., Daemon], script: Callable[[str], Path]
) -> None:
    """MemoryDenyWriteExecute=, as the kernel itself does it: callbacks from C still arrive."""
    if subprocess.run([sys.executable, "-c", UNWRITABLE, "true"]).returncode != 0:
        pytest.skip("this kernel cannot refuse writable code (Linux 6.3)")
    daemon = start(wrapper=[sys.executable, "-c", UNWRITABLE])
    daemon.load(script('run\ntoken "Hello"\nfinish\n'))
    with daemon.connect() as client:
        answers = client.stream("rkllm.run_async", [{"prompt_input": "hi"}])
    assert answers[0]["result"]["text"] == "Hello"


@needs("systemd-sysusers", "systemd")
def test_the_users_are_made_once(tmp_path: Path) -> None:
    """The users have the groups of the device nodes; a second run changes nothing."""
    (tmp_path / "etc").mkdir()
    for _ in range(2):
        told("systemd-sysusers", f"--root={tmp_path}", ETC / "rkllm.sysusers")
    passwd = (tmp_path / "etc/passwd").read_text().splitlines()
    groups = [line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()]
    assert [line.split(":")[0] for line in passwd] == ["rkllm"]
    assert passwd[0].endswith("/nologin")
    assert sorted(groups) == ["render", "rkllm", "video"]


@needs("systemd-tmpfiles", "systemd")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make directories of root's")
def test_the_directories_are_roots(tmp_path: Path) -> None:
    """The daemon reads models and cannot put any there."""
    told("systemd-tmpfiles", f"--root={tmp_path}", "--create", ETC / "rkllm.tmpfiles")
    for name in ("run/rkllm", "var/lib/rkllm/models"):
        assert (tmp_path / name).stat().st_mode & 0o7777 == 0o755
    assert Path(setting("ListenStream", "rkllm.socket")).parent == Path("/run/rkllm")


def test_the_rules_are_matches_and_assignments() -> None:
    """The rules use keys of udev(7), since udev ignores unknown ones silently."""
    pair = r'(SUBSYSTEM|KERNEL)=="[^"]+"|(GROUP|MODE)="[^"]+"'
    rules = [r for r in (ETC / "70-rkllm.rules").read_text().splitlines() if r and r[0] != "#"]
    assert len(rules) == 2
    for rule in rules:
        assert all(re.fullmatch(pair, part) for part in rule.split(", ")), rule


def test_udev_has_nothing_to_say_against_the_rules() -> None:
    """udevadm verify exists since release 254."""
    if shutil.which("udevadm") is None or int(told("udevadm", "--version")) < 254:
        pytest.skip("udevadm is not installed (package udev), or older than 254")
    told("udevadm", "verify", ETC / "70-rkllm.rules")
