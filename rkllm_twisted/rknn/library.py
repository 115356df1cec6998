"""Finds librknnrt and opens it; an error is one sentence that says what to do."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted import cpu
from rkllm_twisted.errors import LibraryError, RuntimeRefused
from rkllm_twisted.rknn.layouts import SIGNATURES, STATUSES

#: The name that the loader searches for if the options name no library.
SONAME = "librknnrt.so"
#: What ``--vision-library`` calls the library that makes up what an encoder says.
SCRIPTED = "scripted"
_REMEDY = "name it with --vision-library PATH"
#: A function that only the scripted library has.
_ABOUT = "rknn_scripted_about"


@attrs.frozen
class Library:
    """A library that the loader has accepted.

    :param path: as it was named, or the name that the loader searched for.
    :param is_real: False for the library that makes up what it says.
    """

    path: str
    native: Any = attrs.field(repr=False)
    is_real: bool = True

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function.

        :raises RuntimeRefused: it returned a status other than 0.
        """
        status = self.status_of(function, *arguments)
        if status != 0:
            meaning = STATUSES.get(status, "this status is unknown")
            raise RuntimeRefused(
                f"{function} returned {status}: {meaning}.",
                {"function": function, "status_code": status},
            )

    def status_of(self, function: str, *arguments: Any) -> int:
        """Call a function and return its status."""
        return int(getattr(self.native, function)(*arguments))


def open_library(wanted: str | None = None) -> Library:
    """Find and open the library.

    :param wanted: the value of ``--vision-library``: a path, ``scripted``, or None for what the
        loader finds.
    :raises LibraryError: it is missing, is for another machine, or is not librknnrt.
    """
    path = str(cpu.scripted_encoder()) if wanted == SCRIPTED else wanted or SONAME
    if "/" in path and not Path(path).is_file():
        raise LibraryError(f"There is no library {path}; {_REMEDY}.")
    try:
        native = ctypes.CDLL(path)
    except OSError as error:
        if str(error).startswith(f"{SONAME}: cannot open shared object file"):
            raise LibraryError(
                f"There is no {SONAME} on the loader's path, and pictures need it; {_REMEDY}."
            ) from None
        raise LibraryError(f"{path} cannot be loaded: {error}.") from None
    missing = [name for name in SIGNATURES if not hasattr(native, name)]
    if missing:
        raise LibraryError(
            f"{path} does not export {missing[0]}: it is not Rockchip's librknnrt; {_REMEDY}."
        )
    for name, arguments in SIGNATURES.items():
        function = getattr(native, name)
        function.argtypes, function.restype = arguments, ctypes.c_int
    return Library(path, native, not hasattr(native, _ABOUT))
