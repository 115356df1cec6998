"""The daemon's address, and the errors for a daemon that cannot be reached."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from rkllm_twisted.errors import Disconnected, NoDaemon, NoPermission, NotADaemon, Unreachable
from rkllm_twisted.wire.socket_path import DEFAULT_SOCKET, MAX_SOCKET_PATH_BYTES, unit_of

#: The daemon must answer a greeting or a ping within this time.
PING_TIMEOUT_S = 10.0
#: A client that waits sends a ping when nothing has come for this time.
PING_AFTER_S = 30.0

#: errno of ``connect()`` -> the error, and its sentence for a path.
_PROBLEMS: Mapping[int, tuple[type[Unreachable], str]] = {
    errno.ENOENT: (
        NoDaemon,
        "No daemon listens at {path}; start one with: {start}",
    ),
    errno.ECONNREFUSED: (
        NoDaemon,
        "No daemon listens at {path} any more: a daemon that was killed has left this socket;"
        " start one with: {start}",
    ),
    errno.ENOTDIR: (
        NotADaemon,
        "{path} cannot be a socket: a part of the path is not a directory.",
    ),
    errno.EAGAIN: (
        Unreachable,
        "The daemon at {path} accepts no connection now, because too many clients are waiting; try"
        " again later, or read the daemon's log.",
    ),
}


def default_socket(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of the socket that is used when none is given."""
    return environ.get("RKLLM_UDS_PATH") or DEFAULT_SOCKET


def checked_path(path: str) -> str:
    """Return the path of a socket.

    :raises Unreachable: if it is too long. Neither the kernel nor Twisted says so in words.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise Unreachable(
            f"{path} is too long for a socket: {MAX_SOCKET_PATH_BYTES} bytes at most."
        )
    return path


def connect_error(path: str, number: int | None, text: str) -> Unreachable:
    """Return the error for a daemon that could not be connected to.

    :param number: the errno of ``connect()``, if there was one.
    :param text: the system's message, for a case that has no sentence here.
    """
    if number in (errno.EACCES, errno.EPERM):
        return NoPermission(_no_permission(path))
    if number == errno.ECONNREFUSED and not _is_socket(path):
        return NotADaemon(
            f"{path} is not a socket; name the daemon's socket, see --socket of twistd rkllm."
        )
    kind, sentence = _PROBLEMS.get(
        number or 0, (Unreachable, "The daemon at {path} cannot be reached: {text}.")
    )
    return kind(sentence.format(path=path, start=start_command(path), text=text.rstrip(".")))


def start_command(path: str) -> str:
    """Return the command that starts a daemon on a socket."""
    unit = unit_of(path)
    if unit is not None:
        return f"sudo systemctl start {unit}"
    return f"twistd -n rkllm --socket {path}"


def _no_permission(path: str) -> str:
    """Say why this user may not connect, and name the group that may if there is one."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib would be a slower start
    except OSError:  # a directory on the way to the socket is closed to this user
        return (
            f"This user may not enter the directory of {path}; use a user or a group that may, or"
            " start the daemon with a --socket that this user can reach."
        )
    if status.st_mode & stat.S_IWGRP:
        group = _group_name(status.st_gid)
        return (
            f"Only members of the group {group} may use {path}; join it with: sudo usermod -aG"
            f" {group} $USER, and log in again."
        )
    return (
        f"Only the user {_user_name(status.st_uid)} may use {path}; become that user, or start the"
        " daemon with --mode 0660 --group GROUP, one of your groups."
    )


def _group_name(number: int) -> str:
    import grp  # noqa: PLC0415 - only for an error

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user_name(number: int) -> str:
    import pwd  # noqa: PLC0415 - only for an error

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - pathlib would be a slower start
    except OSError:  # it has been removed since
        return True


def lost_error(where: str) -> Disconnected:
    """Return the error for a connection that ended."""
    return Disconnected(
        f"The connection to the daemon at {where} was lost; read its log, and connect again."
    )


def timeout_text(where: str, method: str, seconds: float) -> str:
    """Return the sentence for an answer that did not come in time."""
    return (
        f"The daemon at {where} did not answer {method} within {seconds:g} s, so the request was"
        " cancelled; set a longer timeout, or look at server.status."
    )


def silent_text(where: str) -> str:
    """Return the sentence for a daemon that does not answer a ping."""
    return f"The daemon at {where} does not answer any more, not even a ping; see whether it runs."
