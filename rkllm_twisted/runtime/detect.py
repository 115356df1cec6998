"""Detects the release of a library, and so the layout of its structures.

The library has no function that says so. In this order: what the person said (``--abi``), the
version text in the file, what the exported functions and the default parameters show. Where none
of these is conclusive the library is refused: with a wrong layout it would write over memory.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.release import Member, Release, release_for
from rkllm_twisted.errors import LibraryError
from rkllm_twisted.runtime.library import OpenedFile

_TEXT = re.compile(rb"RKLLM SDK \(version: (\d+\.\d+\.\d+)")
#: In bytes; far more than the RKLLMParam of any release needs (208).
#: The bytes that the library does not write are not zeroed: only plausible values count.
_ROOM_BYTES = 4096
_NAME_IT = "name the release with --abi"


@attrs.frozen
class DetectedRelease:
    """The release of a library, and the reason.

    :param version: what the library says of itself; ``None`` if it says nothing.
    :param reason: how the release was chosen, in words.
    """

    release: Release
    version: str | None
    reason: str


def detect_release(
    opened: OpenedFile, abi: str | None, known: Mapping[str, Release]
) -> DetectedRelease:
    """Detect the release of a library.

    :param abi: the release of ``--abi``; None if the option is not given.
    :param known: the layouts to choose from, by name, oldest first.
    :raises LibraryError: ``abi`` contradicts the library, or nothing is conclusive.
    """
    version = version_text(opened.path)
    candidates = by_symbols(opened, known)
    defaults = default_param(opened)
    fitting = [release for release in candidates if plausible(release, defaults)]
    if abi is not None:
        chosen, reason = release_for(abi, known), f"chosen with --abi {abi}"
    elif version is not None:
        chosen, reason = (
            release_for(version, known),
            f"the library's own text says version {version}",
        )
    elif len(fitting) == 1:
        chosen, reason = fitting[0], "its functions and its default parameters fit this one only"
    else:
        fit = " and ".join(release.name for release in fitting) or "none that is known"
        what = f"does not say which release it is, and its layout fits {fit}"
        raise LibraryError(f"{opened.path} {what}; {_NAME_IT}.")
    _contradict(opened, chosen, reason, candidates, fitting)
    return DetectedRelease(chosen, version, reason)


def _contradict(
    opened: OpenedFile,
    chosen: Release,
    reason: str,
    candidates: list[Release],
    fitting: list[Release],
) -> None:
    """Refuse a choice that the library itself disproves."""
    evidence = None
    if chosen not in candidates:
        evidence = "exports the functions", candidates
    elif fitting and chosen not in fitting:
        evidence = "has the default parameters", fitting
    if evidence is not None:
        what, others = evidence
        names = " or ".join(release.name for release in others) or "no release that is known"
        raise LibraryError(
            f"{opened.path} {what} of {names}, not of {chosen.name} ({reason}); {_NAME_IT}."
        )


def version_text(path: Path) -> str | None:
    """Find the version in ``RKLLM SDK (version: x.y.z`` in a file.

    :raises LibraryError: the file cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            match = _TEXT.search(data)
            return match.group(1).decode() if match else None
    except (OSError, ValueError) as error:
        raise LibraryError(f"{path} cannot be read to find its version: {error}.") from None


def by_symbols(opened: OpenedFile, known: Mapping[str, Release]) -> list[Release]:
    """List the releases that have exactly the functions of this library."""
    functions = {function for release in known.values() for function in release.functions}
    exported = {function for function in functions if opened.exports(function)}
    return [release for release in known.values() if exported == release.functions.keys()]


class _Room(ctypes.Structure):
    _fields_ = [("data", ctypes.c_ubyte * _ROOM_BYTES)]


def default_param(opened: OpenedFile) -> bytes:
    """Call ``rkllm_createDefaultParam`` with room for whatever it returns.

    It returns a structure by value: on x86-64 and aarch64 the caller passes the address to write
    to, and the size does not matter as long as there is enough. What lies beyond the structure is
    whatever lay on the stack.
    """
    prototype = ctypes.CFUNCTYPE(_Room)
    return bytes(prototype(("rkllm_createDefaultParam", opened.native))().data)


def plausible(release: Release, data: bytes) -> bool:
    """True if these bytes can be a release's default RKLLMParam.

    1.2.1 and 1.3.0 export the same functions, but 1.3.0 has no ``img_*`` pointers, so that
    ``extend_param`` lies 28 bytes earlier: what is ``n_batch`` (never 0) and a number of CPU cores
    in one is the inside of a pointer, or zeros, in the other.
    """
    return _plausible(release, "RKLLMParam", data)


def _plausible(release: Release, name: str, data: bytes) -> bool:
    for member in release.structs[name].members:
        part = data[member.offset : member.offset + member.size]
        if release.sort_of(member.type) == "structure":
            if not _plausible(release, member.type.base, part):
                return False
        elif not _plausible_field(release, member, part):
            return False
    return True


def _plausible_field(release: Release, member: Member, part: bytes) -> bool:
    check = _FIELDS.get(member.name or "") or _SORTS[release.sort_of(member.type)]
    return check(part, member.type)


def _between(least: int, greatest: int) -> Callable[[bytes, CType], bool]:
    """Make a check of an integer's range."""

    def check(part: bytes, kind: CType) -> bool:
        signed = kind.base.startswith("int")
        return least <= int.from_bytes(part, "little", signed=signed) <= greatest

    return check


def _is_float(part: bytes, _kind: CType) -> bool:
    value: float = struct.unpack("<f", part)[0]
    return value == 0 or 1e-4 <= abs(value) <= 1e4


def _is_pointer(part: bytes, _kind: CType) -> bool:
    address = int.from_bytes(part, "little")
    return address == 0 or 4096 <= address < 1 << 48


#: Fields whose range is known (rkllm.h 1.3.0; n_batch: the runtime refuses others than 1 to 100).
_FIELDS: Mapping[str, Callable[[bytes, CType], bool]] = {
    "base_domain_id": _between(0, 16),
    "embed_flash": _between(0, 1),
    "enabled_cpus_num": _between(0, 64),
    "n_batch": _between(1, 100),
    "use_cross_attn": _between(0, 1),
    "reserved": lambda _part, _kind: True,
}
#: The sort of a type -> what its values in a default RKLLMParam can be.
_SORTS: Mapping[str, Callable[[bytes, CType], bool]] = {
    "bool": _between(0, 1),
    "float": _is_float,
    "integer": _between(-(1 << 24), 1 << 24),
    "string": _is_pointer,
}
