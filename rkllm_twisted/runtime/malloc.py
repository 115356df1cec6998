"""C's heap, which keeps freed memory for later."""

from __future__ import annotations

import contextlib
import ctypes

#: mallopt(3): blocks of more bytes than the value come straight from the system, and go back to it.
M_MMAP_THRESHOLD = -3
#: mallopt(3): free memory at the end of a heap goes back to the system if it has more bytes.
M_TRIM_THRESHOLD = -1
#: Both. A row of logits has 0.6 MB: memory that is new for each costs more than its copy.
KEPT_BYTES = 4 * 2**20


def return_freed_blocks() -> None:
    """Return large arrays to the system when they are freed, from now on in this process.

    glibc raises the threshold with each large block that is freed, up to 32 MiB, and then keeps
    twice as much. Only the owner of a process may call this; other C libraries lack the function.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
