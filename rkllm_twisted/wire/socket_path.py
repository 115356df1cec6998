"""The path of the daemon's socket.

These names are not in ``values``, because clients need them before anything else, and importing
attrs takes longer than the rest of a client.
"""

from __future__ import annotations

#: The daemon listens here, and clients connect here, if no other path is given.
DEFAULT_SOCKET = "/tmp/rkllm.sock"
#: The daemon of the package listens here: ListenStream= in etc/rkllm.socket.
PACKAGE_SOCKET = "/run/rkllm/rkllm.sock"
#: The longest path of a UNIX socket: sun_path of Linux has 108 bytes with the final NUL (unix(7)).
MAX_SOCKET_PATH_BYTES = 107


def unit_of(path: str) -> str | None:
    """Return the package's unit that has a socket: ``rkllm.socket``, ``rkllm@NAME.socket`` …"""
    if path == PACKAGE_SOCKET:
        return "rkllm.socket"
    directory, _, file = path.rpartition("/")
    name = file.removesuffix(".sock")
    if directory != PACKAGE_SOCKET.rpartition("/")[0] or name in ("", file):
        return None
    return f"rkllm@{name}.socket"
