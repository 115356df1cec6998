"""The installed package, without the checkout: plugins, data and the C library are found."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from daemons import Daemon, environment

WHEEL = f"rkllm_twisted-*-py3-none-linux_{os.uname().machine}.whl"


def one(directory: Path, pattern: str) -> Path:
    """The only file of a name."""
    (path,) = directory.glob(pattern)
    return path


def test_the_wheel_holds_libraries_model_layouts_and_plugins(built: Path) -> None:
    """The wheel's tag names this platform and no Python version."""
    with zipfile.ZipFile(one(built, WHEEL)) as wheel:
        names = set(wheel.namelist())
        host = wheel.getinfo("rkllm_twisted/isolation/rkllm-host")
    assert host.external_attr >> 16 & 0o777 == 0o755
    assert {
        "rkllm_twisted/cpu/librkllm-cpu-1.2.1.so",
        "rkllm_twisted/cpu/librkllm-cpu-1.3.0.so",
        "rkllm_twisted/cpu/librkllm-llama-1.3.0.so",
        "rkllm_twisted/cpu/librknn-scripted.so",
        "rkllm_twisted/cpu/tiny-pydocs-q8_0.gguf",
        "rkllm_twisted/abi/rkllm-abi.json",
        "rkllm_twisted/description/examples.json",
        "rkllm_twisted/http/page/app.js",
        "rkllm_twisted/http/page/chat.css",
        "rkllm_twisted/http/page/index.html",
        "rkllm_twisted/py.typed",
        "rkllm_twisted/http_service/twistd.py",
        "twisted/plugins/rkllm_endpoint.py",
        "twisted/plugins/rkllm_http_routes.py",
        "twisted/plugins/rkllm_http_service.py",
        "twisted/plugins/rkllm_service.py",
        "twisted/plugins/rkllm_methods.py",
    } <= names
    (about,) = (name for name in names if name.endswith("/METADATA"))
    assert "Provides-Extra: http" in zipfile.ZipFile(one(built, WHEEL)).read(about).decode()
    assert any(name.endswith("NOTICE") for name in names), "the model's licence goes with it"


def test_the_source_distribution_holds_what_is_no_python(built: Path) -> None:
    """Packagers for other systems start from the source distribution."""
    with tarfile.open(one(built, "rkllm_twisted-*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "cpu_runtime/src/front/api.c",
        "docs/design.md",
        "etc/rkllm.service",
        "packaging/build",
        "tests/conftest.py",
    } <= names
    assert not any(name.endswith((".so", "/rkllm-host")) for name in names)


@pytest.mark.parametrize("pattern", [WHEEL, "rkllm_twisted-*.tar.gz"], ids=["wheel", "sdist"])
def test_the_installed_package_gives_the_demo(built: Path, tmp_path: Path, pattern: str) -> None:
    """The demo runs in a new virtual environment, away from the checkout."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python, rkllm = (tmp_path / "venv" / "bin" / name for name in ("python", "rkllm"))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, one(built, pattern)], check=True)
    model = told(rkllm, "demo-model", cwd=tmp_path)
    assert Path(model.strip()).is_relative_to(tmp_path)
    demo = told(rkllm, "demo", cwd=tmp_path)
    assert "tokens/s" in demo
    assert "time to first token" in demo
    daemon = Daemon(tmp_path, program=[str(python.with_name("twistd"))])
    with daemon.connect() as client:
        runtime = client.ask("server.version")["result"]["runtime"]
    assert daemon.stop() == 0
    assert Path(runtime["library"]).is_relative_to(tmp_path)
    assert (runtime["host"], runtime["host_reason"]) == ("c", None)


def told(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
