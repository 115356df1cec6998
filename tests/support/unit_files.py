"""The files for systemd in etc/: their assignments, and systemd's own tools for them."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

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


@cache
def members(group: str) -> frozenset[str]:
    """The system calls of one of systemd's groups."""
    lines = told("systemd-analyze", "syscall-filter", "--no-pager", group).splitlines()
    names = {line.strip() for line in lines[1:] if line.strip() and "#" not in line}
    return frozenset(
        call for name in names for call in (members(name) if name.startswith("@") else [name])
    )


def allowed_calls(unit: str) -> set[str]:
    """The system calls that a service's SystemCallFilter= permits."""
    calls: set[str] = set()
    for name, value in assignments(unit):
        if name == "SystemCallFilter":
            named = {call for group in value.lstrip("~").split() for call in members(group)}
            calls = calls - named if value.startswith("~") else calls | named
    return calls


def traced_calls(trace: Path) -> set[str]:
    """The system calls in strace's file."""
    return set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(), re.MULTILINE))


def units_in(root: Path, *names: str) -> Path:
    """A file system with units, the targets that they name, and programs to start."""
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for directory in (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system")):
        for unit in (*directory.glob("*.target"), *directory.glob("*.slice")):
            shutil.copy(unit, units)
    for name in names:
        shutil.copy(ETC / name, units)
    for program in (DAEMON, "bin/kill"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    return root


def exposure(unit: str) -> float:
    """What systemd-analyze security says of a service: from 0, closed, to 10."""
    said = told("systemd-analyze", "security", "--offline=true", ETC / unit)
    level = re.search(r"Overall exposure level for [^:]+: ([0-9.]+)", said)
    assert level is not None
    return float(level[1])
