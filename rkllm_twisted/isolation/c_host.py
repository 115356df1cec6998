"""The host in C: where it is, and whether it can run here."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: Where setup.py puts it.
C_HOST = Path(__file__).with_name("rkllm-host")
#: The start of what it prints without arguments.
USAGE = b"E host: rkllm-host:"


def c_host_problem() -> str | None:
    """Start the host in C without arguments; it ends at once.

    Whether its file may be executed does not say enough: it may be for another processor, or need a
    newer C library.

    :returns: why it cannot be used, and what to do, as the rest of a sentence; None: it can.
    """
    try:
        done = subprocess.run(
            [C_HOST],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        return _refusal(error)
    if done.stderr.startswith(USAGE):
        return None
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    said = lines[-1] if lines else f"exit code {done.returncode}"
    return f"cannot run here ({said}); install the package for this system, or with a C compiler"


def _refusal(error: OSError) -> str:
    if not C_HOST.exists():
        return "is missing; install a C compiler and the package again"
    if isinstance(error, PermissionError):
        return (
            f"may not be executed; mount the file system of {C_HOST} without noexec, or give the"
            " file the mode 0755"
        )
    return (
        f"cannot be executed here ({error.strerror}); install the package for this system, or with"
        " a C compiler"
    )
