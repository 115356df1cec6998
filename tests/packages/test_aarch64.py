"""The packages for aarch64 run under emulation, on Debian's own Python for aarch64."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import RawClient, environment

from rkllm_twisted.abi.release import releases

EMULATOR = "qemu-aarch64-static"
#: Seconds. Under emulation and beside other tests, importing Twisted alone is slow.
MAX_EMULATED_WAIT_S = 240
#: The glibc of Ubuntu 22.04, the oldest system on boards.
OLDEST_GLIBC = (2, 35)
#: Configures apt for another machine, with separate state and this machine's package sources.
APT = """
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Sandbox::User "root";
Debug::NoLocking "true";
Dir::State "{here}/state";
Dir::State::status "{here}/status";
Dir::Cache "{here}/cache";
"""
#: Starts an emulated program as a board's kernel would; Python's children use it by sys.executable.
START = """#!/bin/sh
exec {emulator} -L {system} -0 "$0" {program} "$@"
"""

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, (EMULATOR, "apt-get", "dpkg-deb"))),
    reason=f"this takes {EMULATOR} (package qemu-user-static) and Debian's apt-get",
)


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    """The wheel for boards."""
    return only(built, "*-linux_aarch64.whl")


def only(directory: Path, pattern: str) -> Path:
    """The only file that matches; the test is skipped without a compiler for it."""
    found = list(directory.glob(pattern))
    if not found:
        pytest.skip("aarch64-linux-gnu-gcc is not installed (package gcc-aarch64-linux-gnu)")
    return found[0]


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of Debian's Python for aarch64 and of its dependencies.

    This machine's apt is not changed.
    """
    here = tmp_path_factory.mktemp("apt")
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (here / directory).mkdir(parents=True)
    (here / "status").touch()
    (here / "apt.conf").write_text(APT.format(here=here))
    apt = {**os.environ, "APT_CONFIG": str(here / "apt.conf")}
    subprocess.run(["apt-get", "update", "-qq"], env=apt, check=True)
    get = ["apt-get", "install", "-qq", "--download-only", "--no-install-recommends", "python3"]
    subprocess.run(get, env=apt, check=True)
    root = tmp_path_factory.mktemp("system")
    for package in (here / "cache/archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    return root


def python_of(system: Path) -> str:
    """The release of a system's Python, such as 3.11."""
    return (system / "usr/bin/python3").readlink().name.removeprefix("python")


def emulate(home: Path, system: Path) -> Path:
    """Replace a virtual environment's Python, and the runtime's host, with the emulated ones."""
    python = home / "bin/python3"
    python.unlink(missing_ok=True)
    start(python, system / "usr/bin/python3", system)
    (host,) = home.rglob("rkllm-host")
    start(host, host.rename(host.with_name("rkllm-host.aarch64")), system)
    return python


def start(script: Path, program: Path, system: Path) -> None:
    """Write a script that starts a program under emulation."""
    emulator = shutil.which(EMULATOR)
    script.write_text(START.format(emulator=emulator, system=system, program=program))
    script.chmod(0o755)


@pytest.fixture
def from_the_wheel(wheel: Path, system: Path, tmp_path: Path) -> Path:
    """A virtual environment with the wheel and its dependencies."""
    home, release = tmp_path / "venv", python_of(system)
    site = home / f"lib/python{release}/site-packages"
    site.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "pyvenv.cfg").write_text("home = /usr/bin\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    platforms = ["--platform=linux_aarch64", "--platform=manylinux2014_aarch64"]
    subprocess.run(
        [*pip, *platforms, f"--python-version={release}", f"--target={site}", wheel], check=True
    )
    return home


@pytest.fixture
def from_the_package(built: Path, tmp_path: Path) -> Path:
    """The directory that the Debian package installs."""
    package = only(built, "rkllm-twisted_*_arm64.deb")
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path / "root"], check=True)
    return tmp_path / "root/usr/lib/rkllm-twisted"


def test_the_libraries_are_for_boards_and_need_no_newer_system(wheel: Path) -> None:
    """The ELF machine is 183, and the oldest board's glibc has all symbols."""
    with zipfile.ZipFile(wheel) as archive:
        ours = (n for n in archive.namelist() if n.endswith((".so", "/rkllm-host")))
        libraries = {n: archive.read(n) for n in ours}
    assert len(libraries) == len(("tiny", "llama")) * len(releases()) + len(("host", "rknn"))
    for name, library in libraries.items():
        assert int.from_bytes(library[18:20], "little") == 183, name
        needed = {(int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)\0", library)}
        assert needed
        assert max(needed) <= OLDEST_GLIBC, name


def accepts(path: Path) -> bool:
    """True if a daemon accepts there; between bind(2) and listen(2) the file exists and refuses."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(path)) == 0


@pytest.fixture(params=["from_the_wheel", "from_the_package"])
def daemon(request: pytest.FixtureRequest, system: Path, tmp_path: Path) -> Iterator[RawClient]:
    """A daemon for boards; yields a connection."""
    python = emulate(request.getfixturevalue(request.param), system)
    run = "from twisted.scripts.twistd import run; run()"
    options = ["--nodaemon", "--pidfile=", "rkllm", "--library=cpu", f"--socket={tmp_path / 's'}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-c", run, *options],
            cwd=tmp_path,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + MAX_EMULATED_WAIT_S
    while not accepts(tmp_path / "s"):
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)  # until it listens
    with RawClient(tmp_path / "s") as client:
        client.socket.settimeout(MAX_EMULATED_WAIT_S)
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(MAX_EMULATED_WAIT_S) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_board_streams_an_answer(daemon: RawClient) -> None:
    """The embedded runtime, built for aarch64, answers from its own process."""
    version = daemon.ask("server.version")["result"]
    assert version["runtime"]["host"] == "c"
    library = Path(version["runtime"]["library"])
    assert library.read_bytes()[18] == 183
    model = library.parent / "tiny-pydocs-q8_0.gguf"
    loaded = daemon.ask("rkllm.init", [{"model_path": str(model), "top_k": 1}])
    assert "result" in loaded, loaded
    question = {"role": "user", "prompt_input": "What is a module?"}
    answers = daemon.stream("rkllm.run_async", [question])
    text = "".join(answer["result"]["text"] or "" for answer in answers[:-1])
    assert len(answers) > 5
    assert "Python" in text
    assert answers[-1]["result"]["_callback_state"] == 2
