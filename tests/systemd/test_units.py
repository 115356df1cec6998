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
from pathlib import Path

import pytest
from daemons import Daemon
from unit_files import (
    DAEMON,
    ETC,
    UNWRITABLE,
    allowed_calls,
    assignments,
    exposure,
    needs,
    setting,
    told,
    traced_calls,
    units_in,
)

from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.service import CLOSE_GRACE_S, DRAIN_S
from rkllm_twisted.isolation.heartbeat import CHECK_INTERVAL_S as HEARTBEAT_CHECK_S
from rkllm_twisted.isolation.heartbeat import MAX_MISSED_ALIVE
from rkllm_twisted.isolation.supervisor import CHILD_EXIT_WAIT_S
from rkllm_twisted.systemd.service import CHECK_INTERVAL_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with the units, their targets, and a program to start."""
    return units_in(tmp_path, "rkllm.service", "rkllm.socket")


@needs("systemd-analyze", "systemd")
def test_systemd_has_nothing_to_say_against_the_units(root: Path) -> None:
    """systemd-analyze reports no error and no unknown key."""
    verify = ["systemd-analyze", "verify", f"--root={root}", "--man=no"]
    assert told(*verify, "rkllm.service", "rkllm.socket") == ""


@needs("systemd-analyze", "systemd")
def test_the_service_is_as_closed_as_it_can_be() -> None:
    """The service can reach only the NPU, /proc/device-tree, and the clients' user ids."""
    assert exposure("rkllm.service") <= 1.0


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
    made = traced_calls(trace)
    assert {"accept4", "execve", "sched_setaffinity"} <= made
    assert made - allowed_calls("rkllm.service") == set()


def test_the_daemon_needs_no_writable_code(
    start: Callable[..., Daemon], script: Callable[[str], Path]
) -> None:
    """MemoryDenyWriteExecute=, as the kernel itself does it: callbacks from C still arrive."""
    if subprocess.run([sys.executable, "-c", UNWRITABLE, "true"]).returncode != 0:
        pytest.skip("this kernel cannot refuse writable code (Linux 6.3)")
    daemon = start(wrapper=[sys.executable, "-c", UNWRITABLE])
    daemon.load(script('run\ntoken "Hello"\nfinish\n'))
    with daemon.connect() as client:
        assert client.ask("server.version")["result"]["runtime"]["host"] == "c"
        answers = client.stream("rkllm.run_async", [{"prompt_input": "hi"}])
    assert answers[0]["result"]["text"] == "Hello"


@needs("systemd-sysusers", "systemd")
def test_the_users_are_made_once(tmp_path: Path) -> None:
    """The users have the groups of the device nodes; a second run changes nothing."""
    (tmp_path / "etc").mkdir()
    for _ in range(2):
        told("systemd-sysusers", f"--root={tmp_path}", ETC / "rkllm.sysusers")
    passwd = (tmp_path / "etc/passwd").read_text().splitlines()
    rows = [line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()]
    members_of = {row[0]: row[3] for row in rows}
    assert [line.split(":")[0] for line in passwd] == ["rkllm", "rkllm-http", "rkllm-fleet"]
    assert all(line.endswith("/nologin") for line in passwd)
    assert sorted(members_of) == ["render", "rkllm", "rkllm-fleet", "rkllm-http", "video"]
    may_connect = {"rkllm-fleet", "rkllm-http"}
    assert set(members_of["rkllm"].split(",")) == may_connect, "to the daemon's socket"


@needs("systemd-tmpfiles", "systemd")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make directories of root's")
def test_the_directories_are_roots(tmp_path: Path) -> None:
    """The daemon reads models and cannot put any there."""
    told("systemd-tmpfiles", f"--root={tmp_path}", "--create", ETC / "rkllm.tmpfiles")
    for name in ("run/rkllm", "var/lib/rkllm/models", "etc/rkllm"):
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
