"""Finds librkllmrt and opens it; an error is one sentence that says what is wrong.

An embedded runtime is used only if the option names it (``cpu`` or ``llama``), never in place of a
library that is missing.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Mapping
from pathlib import Path

import attrs

from rkllm_twisted import cpu
from rkllm_twisted.abi.layouts import CData
from rkllm_twisted.abi.release import Release, release_for
from rkllm_twisted.cpu import libllama
from rkllm_twisted.errors import LibraryError

#: The name that the loader searches for if the options name no library.
SONAME = "librkllmrt.so"
#: The names that ask for an embedded runtime.
EMBEDDED = (cpu.CPU, cpu.LLAMA)
#: The variable that sets what the runtime prints (SDK manual, 3.3.3): 1 adds the figures of each
#: run, 2 among other things prompts.
LOG_LEVEL = "RKLLM_LOG_LEVEL"
MAX_LEVEL_WITHOUT_PROMPTS = 1
#: e_machine of an ELF header -> the machine, as ``uname -m`` calls it (elf.h).
MACHINES: Mapping[int, str] = {
    3: "i686",
    8: "mips",
    21: "ppc64le",
    40: "armv7l",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
_REMEDY = "name it with --library PATH, or take the embedded CPU runtime with --library cpu"


@attrs.frozen
class OpenedFile:
    """A library that the loader has accepted.

    :param path: where it was found.
    """

    path: Path
    native: CData = attrs.field(repr=False)

    def exports(self, symbol: str) -> bool:
        """True if the library has a function of this name."""
        return hasattr(self.native, symbol)

    @property
    def backend(self) -> str:
        """The device that computes: ``npu``, or the text that an embedded runtime returns."""
        if not self.exports("rkllm_cpu_backend"):
            return "npu"
        return self._text("rkllm_cpu_backend") or cpu.CPU

    @property
    def problem(self) -> str | None:
        """The reason why an embedded runtime cannot compute here, in one sentence, or None."""
        return self._text("rkllm_cpu_problem") or None

    @property
    def limits(self) -> dict[str, list[str]]:
        """The limits of each engine of an embedded runtime; empty for an NPU."""
        lines = (line.partition(": ") for line in self._text("rkllm_cpu_limits").splitlines())
        return {engine: names.split(", ") if names else [] for engine, _, names in lines}

    def _text(self, function: str) -> str:
        """Return the text that a C function returns; empty if the library lacks the function."""
        if not self.exports(function):
            return ""
        text = ctypes.CFUNCTYPE(ctypes.c_char_p)((function, self.native))()
        return (text or b"").decode("utf-8", "replace")


def without_prompts(environ: Mapping[str, str], allowed: bool) -> dict[str, str]:
    """Return an environment in which the runtime prints no prompts.

    :param allowed: True if it may print them; then the environment stays as it is.
    """
    level = environ.get(LOG_LEVEL, "")
    if allowed or not level.isdigit() or int(level) <= MAX_LEVEL_WITHOUT_PROMPTS:
        return dict(environ)
    return {**environ, LOG_LEVEL: str(MAX_LEVEL_WITHOUT_PROMPTS)}


def open_file(
    library: str | None, abi: str | None, environ: Mapping[str, str], known: Mapping[str, Release]
) -> OpenedFile:
    """Find and open the library.

    :param library: ``cpu`` or ``llama``, a path, or ``None``: ``$RKLLM_LIBRARY`` if set, else what
        the loader finds as librkllmrt.so.
    :param abi: the release wanted; chooses among the embedded libraries.
    :param known: the layouts to choose from, by name, oldest first.
    :raises LibraryError: it is missing, for another machine, or not librkllmrt.
    """
    wanted = library or environ.get("RKLLM_LIBRARY")
    if wanted is None or wanted == "":
        opened = _open_by_loader()
    elif wanted in EMBEDDED:
        if wanted == cpu.LLAMA:
            libllama.choose(environ.get(libllama.VARIABLE))
        layout = cpu.newest_built(known, wanted) if abi is None else release_for(abi, known).name
        opened = _open_path(cpu.library_path(layout, wanted))
    else:
        opened = _open_path(Path(wanted).absolute())
    if not (opened.exports("rkllm_init") and opened.exports("rkllm_createDefaultParam")):
        what = "does not export rkllm_init: it is not Rockchip's RKLLM runtime"
        raise LibraryError(f"{opened.path} {what}; {_REMEDY}.")
    if opened.problem is not None:
        raise LibraryError(f"{opened.problem[0].upper()}{opened.problem[1:]}.")
    return opened


def _open_path(path: Path) -> OpenedFile:
    _check_header(path)
    try:
        return OpenedFile(path, ctypes.CDLL(str(path)))
    except OSError as error:
        raise LibraryError(f"{path} cannot be loaded: {error}.") from None


def _open_by_loader() -> OpenedFile:
    try:
        native = ctypes.CDLL(SONAME)
    except OSError as error:
        if str(error).startswith(f"{SONAME}: cannot open shared object file"):
            raise LibraryError(f"There is no {SONAME} on the loader's path; {_REMEDY}.") from None
        raise LibraryError(f"{SONAME} cannot be loaded: {error}.") from None
    return OpenedFile(_path_of(native), native)


class _DlInfo(ctypes.Structure):
    """``Dl_info`` of dlfcn.h."""

    _fields_ = [
        ("dli_fname", ctypes.c_char_p),
        ("dli_fbase", ctypes.c_void_p),
        ("dli_sname", ctypes.c_char_p),
        ("dli_saddr", ctypes.c_void_p),
    ]


def _path_of(native: CData) -> Path:
    """Return the file that the loader has opened."""
    info = _DlInfo()
    address = ctypes.cast(native.rkllm_init, ctypes.c_void_p) if _has_init(native) else None
    if address is not None and ctypes.CDLL(None).dladdr(address, ctypes.byref(info)):
        return Path(info.dli_fname.decode("utf-8", "surrogateescape"))
    return Path(SONAME)


def _has_init(native: CData) -> bool:
    return hasattr(native, "rkllm_init")


def _check_header(path: Path) -> None:
    """Read the ELF header, since the loader's own words for these cases explain little."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except FileNotFoundError:
        raise LibraryError(f"There is no library {path}; {_REMEDY}.") from None
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror}; {_REMEDY}.") from None
    if header[:4] != b"\x7fELF" or len(header) < 20:
        raise LibraryError(f"{path} is no shared library (not an ELF file); {_REMEDY}.")
    number = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    machine = MACHINES.get(number, f"machine type {number}")
    if machine != platform.machine():
        what = f"is made for {machine}, but this is {platform.machine()}"
        raise LibraryError(f"{path} {what}; {_REMEDY}.")
