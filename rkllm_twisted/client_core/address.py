"""Where a daemon is, and what to say when it cannot be reached."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from rkllm_twisted.errors import Disconnected, NoDaemon, NoPermission, NotADaemon, Unreachable
from rkllm_twisted.values import DEFAULT_SOCKET, MAX_SOCKET_PATH_BYTES

#: Seconds that a daemon may take to greet, and to answer a ping after a silence.
PATIENCE = 10.0
#: Seconds of silence after which a client that waits asks whether the daemon is still there.
QUIET = 30.0

#: What ``connect()`` says -> the error, and its sentence for a path.
_PROBLEMS: Mapping[int, tuple[type[Unreachable], str]] = {
    errno.ENOENT: (
        NoDaemon,
        "No daemon listens at {path}; start one with: twistd -n rkllm --socket {path}",
    ),
    errno.ECONNREFUSED: (
        NoDaemon,
        "No daemon listens at {path} any more, what is there was left by one that was killed;"
        " start one with: twistd -n rkllm --socket {path}",
    ),
    errno.EACCES: (
        NoPermission,
        "The permissions of {path} do not let you in; start the daemon with --mode 0666 or"
        " another that does, or become its user.",
    ),
    errno.ENOTDIR: (NotADaemon, "{path} cannot be a socket: a part of it is no directory."),
    errno.EAGAIN: (
        Unreachable,
        "The daemon at {path} takes no connections, too many wait already; try again later, or"
        " see its log.",
    ),
}


def default_socket() -> str:
    """Where a daemon's socket is when nobody says otherwise."""
    return os.environ.get("RKLLM_UDS_PATH") or DEFAULT_SOCKET


def checked_path(path: str) -> str:
    """Give the path of a socket, if it can be one.

    :raises Unreachable: it is too long. Neither sockets nor Twisted say so in words.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise Unreachable(
            f"{path} is too long for a socket: {MAX_SOCKET_PATH_BYTES} bytes at most."
        )
    return path


def connect_error(path: str, number: int | None, text: str) -> Unreachable:
    """Make the error for a daemon that could not be connected to.

    :param number: the errno of ``connect()``, if there was one.
    :param text: what was said of it, for cases that have no sentence of their own.
    """
    if number == errno.ECONNREFUSED and not _is_socket(path):
        return NotADaemon(f"{path} is no socket; name the daemon's, see --socket of twistd rkllm.")
    kind, sentence = _PROBLEMS.get(
        number or 0, (Unreachable, "No daemon can be reached at {path}: {text}.")
    )
    return kind(sentence.format(path=path, text=text.rstrip(".")))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - pathlib would be a slower start
    except OSError:  # it went away
        return True


def lost_error(where: str) -> Disconnected:
    """Make the error for a connection that ended."""
    return Disconnected(
        f"The connection to the daemon at {where} was lost; see its log, and connect again."
    )


def timeout_text(where: str, method: str, seconds: float) -> str:
    """Say that an answer did not come in time."""
    return (
        f"The daemon at {where} did not answer {method} within {seconds:g} s, so it was"
        " cancelled; allow more time with timeout, or look at server.status."
    )


def silent_text(where: str) -> str:
    """Say that nothing comes any more."""
    return f"The daemon at {where} does not answer any more, not even a ping; see whether it runs."
