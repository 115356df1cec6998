"""The man pages and the completion files are complete and match the help."""

from __future__ import annotations

import gzip
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rkllm_twisted.cli import COMMANDS
from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.fleet_service.board_options import SETTINGS as BOARD_SETTINGS
from rkllm_twisted.fleet_service.front_options import SETTINGS as FRONT_SETTINGS
from rkllm_twisted.http_service.option_table import SETTINGS as HTTP_SETTINGS

#: What twistd runs.
SERVICES = ("rkllm", "rkllm-http", "rkllm-board", "rkllm-fleet")
SOURCE = Path(__file__).parents[2] / "packaging" / "shell_files.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files."""
    directory = tmp_path_factory.mktemp("root")
    spec = importlib.util.spec_from_file_location("shell_files", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(directory)
    return directory


def page(root: Path, name: str) -> str:
    """The source of a page, with plain hyphens."""
    data = (root / f"usr/share/man/man1/{name}.1.gz").read_bytes()
    return gzip.decompress(data).decode("ascii").replace("\\-", "-")


def test_the_commands_page_has_every_command(root: Path) -> None:
    """Each command has its own section."""
    text = page(root, "rkllm")
    assert [line[4:] for line in text.splitlines() if line.startswith(".SS ")] == list(COMMANDS)
    assert ".B -p, --param NAME=VALUE\n" in text


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("twistd-rkllm", SETTINGS),
        ("twistd-rkllm-http", HTTP_SETTINGS),
        ("twistd-rkllm-board", BOARD_SETTINGS),
        ("twistd-rkllm-fleet", FRONT_SETTINGS),
    ],
)
def test_a_services_page_has_every_option(
    root: Path, name: str, settings: Mapping[str, Setting]
) -> None:
    """Each has its description and its variable."""
    text = page(root, name)
    for option, setting in settings.items():
        assert f"--{option}" in text
        assert f"Variable: {setting.variable_of(option)}." in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize(
    "name",
    ["rkllm", *(f"twistd-{service}" for service in SERVICES)],
)
def test_groff_finds_nothing_wrong(root: Path, name: str) -> None:
    """groff prints no warning, either."""
    data = gzip.decompress((root / f"usr/share/man/man1/{name}.1.gz").read_bytes())
    command = ["groff", "-man", "-Tutf8", "-ww", "-z"]
    done = subprocess.run(command, input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", "usr/share/bash-completion/completions/rkllm"),
        ("zsh", "usr/share/zsh/vendor-completions/_rkllm"),
        ("fish", "usr/share/fish/vendor_completions.d/rkllm.fish"),
    ],
)
def test_a_completion_file_is_what_the_command_prints(root: Path, shell: str, path: str) -> None:
    """The shell, if installed, can read the file."""
    text = (root / path).read_text()
    printed = subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.cli", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == f"{text}\n"
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", root / path], capture_output=True).stderr == b""
