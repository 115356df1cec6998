"""The installed package, without the checkout: plugins, data and the C library are found."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from daemons import environment

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from a source distribution, as an installer makes it."""
    directory = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"-w{directory}"]
    subprocess.run([*command, str(source)], check=True)
    return next(directory.glob("*.whl"))


def test_the_wheel_holds_libraries_model_layouts_and_plugins(wheel: Path) -> None:
    """And is for this platform, not for one Python."""
    assert "-py3-none-linux_" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "rkllm_twisted/cpu/librkllm-cpu-1.2.1.so",
        "rkllm_twisted/cpu/librkllm-cpu-1.3.0.so",
        "rkllm_twisted/cpu/tiny-pydocs-q8_0.gguf",
        "rkllm_twisted/binding/rkllm-abi.json",
        "rkllm_twisted/description/examples.json",
        "rkllm_twisted/py.typed",
        "twisted/plugins/rkllm_service.py",
        "twisted/plugins/rkllm_methods.py",
    } <= names
    assert any(name.endswith("NOTICE") for name in names), "the model's licence goes with it"


def test_the_installed_wheel_gives_the_demo(wheel: Path, tmp_path: Path) -> None:
    """In a virtual environment of its own, far from the checkout."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel], check=True)
    demo = subprocess.run(
        [tmp_path / "venv" / "bin" / "rkllm", "demo"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "tokens/s" in demo.stdout
    assert "time to first token" in demo.stdout
