"""C's heap, which keeps what has been freed in it for later."""

from __future__ import annotations

import contextlib
import ctypes

#: mallopt(3): blocks of more bytes than the value come straight from the system, and go back to it.
M_MMAP_THRESHOLD = -3
BIG = 4 * 2**20


def return_freed_blocks() -> None:
    """Let big arrays leave nothing behind when they are freed, in this process from now on.

    glibc raises the threshold with each big block that is freed, up to 32 MiB, and then keeps twice
    as much for itself. For whoever owns the process; other C libraries do not have the function.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BIG)
