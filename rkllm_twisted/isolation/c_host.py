"""The host in C: where it is, and whether it can run here."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

#: Where setup.py puts it.
C_HOST = Path(__file__).with_name("rkllm-host")
#: The start of what it prints without arguments.
USAGE = b"E host: rkllm-host:"
#: How long that may take, in seconds.
START_TIMEOUT_S = 10.0
#: No new process can be made: that says nothing of the file.
_NO_PROCESS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


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
            timeout=START_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return (
            f"has not ended after {START_TIMEOUT_S:g} s; start the daemon again when the machine"
            " is less busy, or install the package again"
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
    if error.errno in _NO_PROCESS:
        return (
            f"cannot be started now ({error.strerror}); allow more processes, memory or open files,"
            " and start the daemon again"
        )
    return (
        f"cannot be executed here ({error.strerror}); install the package for this system, or with"
        " a C compiler"
    )
