"""Looks at the sockets that systemd has opened for the service.

Twisted's ``systemd:`` endpoints listen on them, and do not say where they are.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.python.systemd import ListenFDs

from rkllm_twisted.errors import SocketError
from rkllm_twisted.http_service.exposure import PassedSocket


def passed_sockets() -> Sequence[PassedSocket]:
    """Return the sockets of this process, in systemd's order; none without systemd.

    :raises SocketError: a descriptor is no socket.
    """
    found = ListenFDs.fromEnvironment(_first_environment())
    names = {number: name for name, number in found.inheritedNamedDescriptors().items()}
    numbers = found.inheritedDescriptors()
    return tuple(_look_at(number, names.get(number, "")) for number in numbers)


def _first_environment() -> Mapping[str, str]:
    """Return the environment that this process was started with.

    Twisted removes systemd's variables from it as soon as its endpoints are imported.
    """
    parts = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(part).partition("=") for part in parts)
    return {name: value for name, _, value in pairs}


def _look_at(descriptor: int, name: str) -> PassedSocket:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as passed:
            address = passed.getsockname()
    except OSError as error:
        raise SocketError(
            f"The descriptor {descriptor} from systemd is no socket ({error.strerror}):"
            " rkllm-http.socket must have ListenStream= only."
        ) from None
    domain = passed.family.name.removeprefix("AF_")
    return PassedSocket(domain, address if domain == "UNIX" else address[0], name)
