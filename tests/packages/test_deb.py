"""The Debian package, installed into a separate file system and removed again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S, environment

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
HOME = "usr/lib/rkllm-twisted"

pytestmark = [
    pytest.mark.skipif(
        not all(map(shutil.which, ("dpkg", "systemd-sysusers", "systemctl"))),
        reason="this takes dpkg and systemd's tools",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages"),
]


def dpkg(root: Path, *arguments: str | Path) -> None:
    """Run dpkg on another root; the package's scripts honour that root."""
    done = subprocess.run(
        ["dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files(root: Path) -> set[str]:
    """All names in a file system that belong to the package."""
    found = (str(path.relative_to(root)) for path in root.rglob("*"))
    return {name for name in found if not name.startswith(("var/lib/dpkg", "etc/systemd"))}


@pytest.fixture(scope="module")
def root(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system with the package installed."""
    root = tmp_path_factory.mktemp("root")
    install(root, built)
    return root


def install(root: Path, built: Path) -> None:
    """Install the package into an empty file system."""
    for directory in ("etc", "var/log", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    (package,) = built.glob(f"rkllm-twisted_*_{ARCHITECTURE}.deb")
    dpkg(root, "--install", package)


@pytest.fixture
def python() -> str:
    """The system's Python, which the package uses."""
    path = "/usr/bin/python3"
    if not Path(path).exists():
        pytest.skip(f"{path} is not installed (package python3)")
    return path


def test_it_brings_units_user_rules_and_pages(root: Path) -> None:
    """The socket unit is enabled at boot."""
    assert {
        "etc/rkllm",
        "etc/rkllm.toml",
        "etc/rkllm-http.toml",
        "etc/rkllm-board.toml",
        "etc/rkllm-fleet.toml",
        "usr/bin/rkllm",
        "usr/lib/systemd/system/rkllm-http.service",
        "usr/lib/systemd/system/rkllm-http.socket",
        "usr/lib/systemd/system/rkllm-board.service",
        "usr/lib/systemd/system/rkllm-fleet.service",
        "usr/lib/systemd/system/rkllm-fleet.socket",
        "usr/lib/systemd/system/rkllm.service",
        "usr/lib/systemd/system/rkllm.socket",
        "usr/lib/systemd/system/rkllm@.service",
        "usr/lib/systemd/system/rkllm@.socket",
        "usr/lib/udev/rules.d/70-rkllm.rules",
        "usr/share/doc/rkllm-twisted/copyright",
        "usr/share/doc/rkllm-twisted/docs/operations.md",
        "usr/share/man/man1/rkllm.1.gz",
        "usr/share/man/man1/twistd-rkllm.1.gz",
        "usr/share/man/man1/twistd-rkllm-http.1.gz",
        "usr/share/man/man1/twistd-rkllm-board.1.gz",
        "usr/share/man/man1/twistd-rkllm-fleet.1.gz",
        "usr/share/bash-completion/completions/rkllm",
        "usr/share/zsh/vendor-completions/_rkllm",
        "usr/share/fish/vendor_completions.d/rkllm.fish",
        "run/rkllm",
        "var/lib/rkllm/models",
    } <= files(root)
    users = [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert {"rkllm", "rkllm-fleet", "rkllm-http"} <= set(users)
    wanted = root / "etc/systemd/system/sockets.target.wants"
    assert (wanted / "rkllm.socket").readlink() == Path("/usr/lib/systemd/system/rkllm.socket")


def test_http_is_not_served_until_it_is_enabled(root: Path) -> None:
    """It would let every user of the board use the models."""
    assert not list(root.glob("etc/systemd/system/*/rkllm-http*"))


def test_no_fleet_is_joined_until_it_is_enabled(root: Path) -> None:
    """A bridge and a front need a router and a key first."""
    for unit in ("rkllm-board", "rkllm-fleet"):
        assert not list(root.glob(f"etc/systemd/system/*/{unit}*"))


def test_another_program_of_the_name_is_moved_aside_and_back(built: Path, tmp_path: Path) -> None:
    """ezrknn-llm installs /usr/bin/rkllm without a package, and may do it again later."""
    theirs = tmp_path / "usr/bin/rkllm"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"\x7fELF: another program")
    install(tmp_path, built)
    assert "rkllm-twisted" in theirs.read_text()
    assert (tmp_path / "usr/bin/rkllm.other").read_bytes().startswith(b"\x7fELF")
    theirs.write_bytes(b"\x7fELF: another program, again")
    install(tmp_path, built)
    assert "rkllm-twisted" in theirs.read_text()
    assert (tmp_path / "usr/bin/rkllm.other").read_bytes().endswith(b"again")
    dpkg(tmp_path, "--remove", "rkllm-twisted")
    assert theirs.read_bytes().endswith(b"again")
    assert not (tmp_path / "usr/bin/rkllm.other").exists()


def test_its_units_start_what_it_brings(root: Path) -> None:
    """systemd-analyze verifies that the service's command exists."""
    units = root / "usr/lib/systemd/system"
    for unit in Path("/usr/lib/systemd/system").glob("*.target"):
        shutil.copy(unit, units)
    for unit in Path("/usr/lib/systemd/system").glob("*.slice"):
        shutil.copy(unit, units)
    (root / "bin").mkdir()
    shutil.copy("/bin/kill", root / "bin")  # the package procps
    verify = ["systemd-analyze", "verify", f"--root={root}", "--man=no"]
    verify += ["rkllm.service", "rkllm-http.service", "rkllm@cpu.service"]
    verify += ["rkllm-board.service", "rkllm-fleet.service"]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    shutil.rmtree(root / "bin")
    for unit in (*units.glob("*.target"), *units.glob("*.slice")):
        unit.unlink()


def test_the_host_in_c_may_be_started_by_everyone(root: Path) -> None:
    """The daemon's user is not root."""
    (host,) = (root / HOME / "packages").rglob("rkllm-host")
    assert host.stat().st_mode & 0o777 == 0o755


def test_every_python_has_machine_code_of_its_own(root: Path) -> None:
    """The package has modules for several Pythons, including Debian's next one."""
    found: dict[str, set[str]] = {}
    for library in (root / HOME).rglob("*.cpython-*.so"):
        module, python = library.name.split(".")[:2]
        found.setdefault(f"{library.parent.name}/{module}", set()).add(python.split("-")[1])
    assert {"msgspec/_core", "fleet/_cffi_backend"} <= set(found)
    assert all(pythons == {"310", "311", "312", "313"} for pythons in found.values()), found


#: Directories of the package -> what Python finds there.
IMPORTS = {
    ("packages",): "rkllm_twisted.tap, rkllm_twisted.daemon.twistd, rkllm_twisted.cli,"
    " msgspec._core, rkllm_twisted.http_service.twistd, prometheus_client, jinja2, tokenizers",
    ("fleet", "packages"): "rkllm_twisted.fleet_service.twistd_board, rkllm_twisted.fleet.keys,"
    " rkllm_twisted.fleet_service.twistd_front, rkllm_twisted.fleet.wamp.engine, OpenSSL.SSL",
}


@pytest.mark.parametrize("directories", IMPORTS, ids="-".join)
@pytest.mark.parametrize("release", ["3.10", "3.11", "3.12", "3.13"])
def test_every_python_imports_it(root: Path, release: str, directories: tuple[str, ...]) -> None:
    """The test covers the Pythons on this machine."""
    where = [shutil.which(f"python{release}") or "false", "-c", "import sys; print(sys.executable)"]
    python = subprocess.run(where, capture_output=True, text=True).stdout.strip()
    if not python:
        pytest.skip(f"python{release} is not installed")
    path = os.pathsep.join(str(root / HOME / directory) for directory in directories)
    done = subprocess.run(
        [python, "-S", "-c", f"import {IMPORTS[directories]}"],
        cwd="/",
        env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_only_a_fleets_programs_find_pyopenssl(root: Path) -> None:
    """Twisted imports it wherever it is, which takes 12 MB of memory."""
    assert (root / HOME / "fleet/OpenSSL").is_dir()
    assert not (root / HOME / "packages/OpenSSL").exists()


def test_the_fleets_directory_repeats_nothing(root: Path) -> None:
    """What lies twice could have two releases."""
    names = [
        {path.name for path in (root / HOME / directory).iterdir()}
        for directory in ("fleet", "packages")
    ]
    assert not names[0] & names[1]
    distributions = [
        {name.partition("-")[0] for name in found if name.endswith(".dist-info")} for found in names
    ]
    assert not distributions[0] & distributions[1]


def test_the_command_makes_a_fleets_key(root: Path, python: str, tmp_path: Path) -> None:
    """The command rkllm finds what only a fleet needs."""
    made = subprocess.run(
        [root / "usr/bin/rkllm", "fleet", "key", tmp_path / "key"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    assert len(bytes.fromhex(made.stdout.strip())) == 32


@pytest.mark.parametrize("name", ["rkllm-board", "rkllm-fleet"])
def test_a_fleets_unit_starts_a_program_that_knows_its_options(
    root: Path, python: str, name: str
) -> None:
    """The environment is the unit's; the program asks for what the settings lack."""
    unit = (root / f"usr/lib/systemd/system/{name}.service").read_text()
    assert f"PYTHONPATH=/{HOME}/fleet" in unit
    home = root / HOME
    settings = {"PYTHONPATH": str(home / "fleet"), f"{name.upper().replace('-', '_')}_CONFIG": ""}
    said = subprocess.run(
        [home / "bin/python3", home / "bin/twistd", "--nodaemon", "--pidfile=", name],
        cwd="/",
        env={**environment(), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "router" in said.stdout + said.stderr
    assert "Traceback" not in said.stderr


@pytest.fixture
def daemon(root: Path, python: str, tmp_path: Path) -> Iterator[Path]:
    """The service's command with the embedded runtime; yields its socket."""
    path = tmp_path / "s"
    home = root / HOME
    process = subprocess.Popen(
        [
            *(home / "bin/python3", home / "bin/twistd", "--nodaemon", "--pidfile="),
            *("rkllm", "--library=cpu", f"--socket={path}"),
        ],
        cwd="/",
        env={**environment(), "RKLLM_CONFIG": str(root / "etc/rkllm.toml")},
    )
    deadline = time.monotonic() + MAX_WAIT_S
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0:
                break
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)  # until it listens
    yield path
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def rkllm(root: Path, path: Path, *arguments: str) -> str:
    """Run the installed command; return its output."""
    done = subprocess.run(
        [root / "usr/bin/rkllm", *arguments],
        cwd="/",
        env={**environment(), "RKLLM_UDS_PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_daemon_answers_and_the_command_asks_it(root: Path, daemon: Path) -> None:
    """The daemon uses the package's model and imports everything from the package."""
    model = rkllm(root, daemon, "demo-model").strip()
    assert Path(model).is_relative_to(root)
    assert len(rkllm(root, daemon, "run", "--model", model, "What is a module?").split()) > 3
    version = json.loads(rkllm(root, daemon, "call", "server.version"))
    assert Path(version["runtime"]["library"]).is_relative_to(root)
    assert (version["runtime"]["host"], version["runtime"]["host_reason"]) == ("c", None)


def test_the_http_service_asks_the_daemon(root: Path, daemon: Path, tmp_path: Path) -> None:
    """With the package's settings, its page, and the extras that it needs."""
    model = rkllm(root, daemon, "demo-model").strip()
    rkllm(root, daemon, "init", model)
    home, log = root / HOME, tmp_path / "http.log"
    command = [home / "bin/python3", home / "bin/twistd", "--nodaemon", "--pidfile=", "rkllm-http"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--listen=tcp:0:interface=127.0.0.1"],
            cwd="/",
            env={
                **environment(),
                "RKLLM_UDS_PATH": str(daemon),
                "RKLLM_HTTP_CONFIG": str(root / "etc/rkllm-http.toml"),
            },
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + MAX_WAIT_S
        while not (found := re.search(r"listening on (\S+:\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)  # until it listens
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for path, words in {
            "ready": b'"ready"',
            "metrics": b"rkllm_daemon_up",
            "": b"<html",
            "v1/models": b"tiny-pydocs",
        }.items():
            asked = urllib.request.Request(
                f"http://{found[1]}/{path}", headers={"Accept": "text/html, */*"}
            )
            with opener.open(asked, timeout=MAX_WAIT_S) as answer:
                assert words in answer.read()
    finally:
        process.terminate()
    assert process.wait(20) == 0


def test_the_list_of_plugins_is_written_at_installation(root: Path) -> None:
    """The service cannot write the list, since its file system is read-only."""
    assert (root / HOME / "packages/twisted/plugins/dropin.cache").is_file()


def test_nothing_stays_but_models_and_users(root: Path) -> None:
    """The test purges the package, so it is the last."""
    (root / "var/lib/rkllm/models/mine.rkllm").touch()
    (root / "etc/rkllm/http-keys").write_text("anna: key-of-anna")
    enable = ["systemctl", f"--root={root}", "enable", "rkllm@cpu.socket", "rkllm-http.service"]
    enable += ["rkllm-board.service", "rkllm-fleet.service"]
    subprocess.run(enable, check=True, capture_output=True)
    assert list(root.glob("etc/systemd/system/*/rkllm@cpu*"))
    dpkg(root, "--remove", "rkllm-twisted")
    assert not (root / HOME).exists()
    for name in ("rkllm.toml", "rkllm-http.toml", "rkllm-fleet.toml", "rkllm/http-keys"):
        assert (root / "etc" / name).exists(), "settings stay until the purge"
    dpkg(root, "--purge", "rkllm-twisted")
    left = {name for name in files(root) if "rkllm" in name}
    assert left == {
        "run/rkllm",
        "var/lib/rkllm",
        "var/lib/rkllm/models",
        "var/lib/rkllm/models/mine.rkllm",
    }
    assert not list(root.glob("etc/systemd/system/*/rkllm*"))
