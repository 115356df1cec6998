"""Makes a Debian package of a wheel: ``build_deb.py WHEEL DIRECTORY``.

The daemon and everything that it imports, in one virtual environment under /usr/lib/rkllm-twisted
that uses the system's Python, whichever of PYTHONS that is: Debian's own packages of Twisted and
msgspec are too old, or not there, on the systems that the boards have. Needs pip, dpkg-deb, and
rkllm_twisted itself for the pages of man.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import shell_files

PROJECT = Path(__file__).parent.parent
DEBIAN = PROJECT / "packaging" / "debian"
HOME = Path("usr/lib/rkllm-twisted")
#: The Pythons of Ubuntu 22.04 and 24.04, and Debian 12 and 13; the oldest decides the releases.
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
#: What only the oldest of them lacks: pip takes the conditions of requirements for its own Python.
FOR_THE_OLDEST = ("tomli",)
#: The wheel's extras that a board gets, too: `/metrics`, and a conversation as its model reads it.
EXTRAS = "http"
CHAT = ("jinja2 >= 3.1",)
#: Without what it depends on: huggingface-hub only downloads, and the daemon never does.
ALONE = ("tokenizers >= 0.20",)
#: What a wheel calls a machine -> what Debian calls it.
ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}
#: Platforms whose wheels run on the oldest of these systems, beside the plain ``linux``.
MANYLINUX = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
#: What is in the repository -> where it goes.
FILES = {
    "etc/rkllm.service": "usr/lib/systemd/system/rkllm.service",
    "etc/rkllm.socket": "usr/lib/systemd/system/rkllm.socket",
    "etc/rkllm@.service": "usr/lib/systemd/system/rkllm@.service",
    "etc/rkllm@.socket": "usr/lib/systemd/system/rkllm@.socket",
    "etc/rkllm-http.service": "usr/lib/systemd/system/rkllm-http.service",
    "etc/rkllm-http.socket": "usr/lib/systemd/system/rkllm-http.socket",
    "etc/rkllm-board.service": "usr/lib/systemd/system/rkllm-board.service",
    "etc/rkllm-fleet.service": "usr/lib/systemd/system/rkllm-fleet.service",
    "etc/rkllm-fleet.socket": "usr/lib/systemd/system/rkllm-fleet.socket",
    "etc/70-rkllm.rules": "usr/lib/udev/rules.d/70-rkllm.rules",
    "etc/rkllm.sysusers": "usr/lib/sysusers.d/rkllm.conf",
    "etc/rkllm.tmpfiles": "usr/lib/tmpfiles.d/rkllm.conf",
    "etc/rkllm.toml": "etc/rkllm.toml",
    "etc/rkllm-http.toml": "etc/rkllm-http.toml",
    "etc/rkllm-board.toml": "etc/rkllm-board.toml",
    "etc/rkllm-fleet.toml": "etc/rkllm-fleet.toml",
    "etc/grafana-dashboard.json": "usr/share/doc/rkllm-twisted/grafana-dashboard.json",
    "packaging/debian/rkllm": "usr/bin/rkllm",
    "packaging/debian/venv-rkllm": f"{HOME}/bin/rkllm",
    "packaging/debian/venv-twistd": f"{HOME}/bin/twistd",
    "README.md": "usr/share/doc/rkllm-twisted/README.md",
    "NEWS.md": "usr/share/doc/rkllm-twisted/NEWS.md",
    "LICENSE": "usr/share/doc/rkllm-twisted/copyright",
    "cpu_runtime/model/NOTICE": "usr/share/doc/rkllm-twisted/NOTICE",
}
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def install(target: Path, python: str, machine: str, *what: str) -> None:
    """Unpack wheels for another Python, and perhaps another machine."""
    platforms = [f"--platform={kind}_{machine}" for kind in ("linux", *MANYLINUX)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", "--only-binary=:all:", f"--target={target}"]
    subprocess.run([*command, f"--python-version={python}", *platforms, *what], check=True)


def compiled(packages: Path) -> list[str]:
    """The requirements that have a build of their own for each Python."""
    found = []
    for info in packages.glob("*.dist-info"):
        if re.search(r"^Tag: cp[0-9]+-cp", (info / "WHEEL").read_text(), re.MULTILINE):
            about = Parser().parsestr((info / "METADATA").read_text())
            found.append(f"{about['Name']}=={about['Version']}")
    return found


def fill(packages: Path, wheel: Path, machine: str) -> None:
    """Put everything that is imported into one directory, with machine code for every Python."""
    oldest = PYTHONS[0]
    install(packages, oldest, machine, f"{wheel}[{EXTRAS}]", *CHAT, *FOR_THE_OLDEST)
    install(packages, oldest, machine, "--no-deps", *ALONE)
    for_all_pythons(packages, machine)


def fill_fleet(fleet: Path, packages: Path, wheel: Path, machine: str) -> None:
    """Put what only the programs of a fleet import into a directory of its own.

    Twisted imports pyOpenSSL wherever it finds it, which takes 12 MB of memory in each process.
    """
    install(fleet, PYTHONS[0], machine, f"{wheel}[fleet]")
    for path in list(fleet.iterdir()):
        if (packages / path.name).exists():
            remove = shutil.rmtree if path.is_dir() else Path.unlink
            remove(path)
    for_all_pythons(fleet, machine)


def for_all_pythons(packages: Path, machine: str) -> None:
    """Add the machine code of the other Pythons to that of the oldest."""
    for python in PYTHONS[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            install(Path(scratch), python, machine, "--no-deps", *compiled(packages))
            for library in Path(scratch).rglob("*.so"):
                shutil.copy(library, packages / library.relative_to(scratch))
    shutil.rmtree(packages / "bin", ignore_errors=True)


def virtual_environment(root: Path) -> None:
    """Make one of it: what the venv module does, for several Pythons and another place."""
    (root / HOME / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n"
    )
    (root / HOME / "bin").mkdir(exist_ok=True)
    (root / HOME / "bin/python3").symlink_to("/usr/bin/python3")
    for python in PYTHONS:
        library = root / HOME / "lib" / f"python{python}"
        library.mkdir(parents=True)
        (library / "site-packages").symlink_to("../../packages")


def copy_files(root: Path) -> None:
    """Everything that is not Python."""
    for source, target in FILES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / source, root / target)
    not_for_reading = shutil.ignore_patterns("*.py", "*.json", "__pycache__")
    pages = root / "usr/share/doc/rkllm-twisted/docs"
    shutil.copytree(PROJECT / "docs", pages, ignore=not_for_reading)
    shell_files.main(root)


def control(root: Path, version: str, architecture: str) -> None:
    """What dpkg knows of the package."""
    (root / "DEBIAN").mkdir()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    after = ".".join([*PYTHONS[-1].split(".")[:1], str(int(PYTHONS[-1].split(".")[1]) + 1)])
    text = (DEBIAN / "control").read_text()
    values = {"version": version, "architecture": architecture, "size": str(size // 1024)}
    values |= {"oldest": PYTHONS[0], "after": after}
    (root / "DEBIAN/control").write_text(text.format_map(values))
    settings = [f"/{target}\n" for target in FILES.values() if target.startswith("etc/")]
    (root / "DEBIAN/conffiles").write_text("".join(settings))
    for script in SCRIPTS:
        shutil.copy(DEBIAN / script, root / "DEBIAN" / script)


def main(wheel: Path, directory: Path) -> None:
    """Make the package."""
    match = re.fullmatch(r"rkllm_twisted-([^-]+)-py3-none-linux_(\w+)\.whl", wheel.name)
    if match is None or ZipFile(wheel).testzip() is not None:
        sys.exit(f"{wheel} is no wheel of rkllm_twisted for Linux.")
    version, machine = match.groups()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir(mode=0o755)
        fill(root / HOME / "packages", wheel, machine)
        fill_fleet(root / HOME / "fleet", root / HOME / "packages", wheel, machine)
        virtual_environment(root)
        copy_files(root)
        control(root, version, ARCHITECTURES[machine])
        subprocess.run(["chmod", "-R", "u=rwX,go=rX", root], check=True)
        package = directory / f"rkllm-twisted_{version}_{ARCHITECTURES[machine]}.deb"
        build = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build"]
        subprocess.run([*build, root, package], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
