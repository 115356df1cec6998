"""Finds the endpoints that other machines can reach. Pure."""

from __future__ import annotations

import ipaddress

#: Kinds of endpoints that other machines cannot reach.
_LOCAL_KINDS = frozenset({"unix", "rkllm"})


def is_local(description: str) -> bool:
    """True if only this machine can reach an endpoint.

    :param description: of a server, as Twisted's serverFromString takes it. What is not known for
        certain to be local is not.
    """
    kind, _, rest = description.partition(":")
    if kind in _LOCAL_KINDS:
        return True
    if kind not in ("tcp", "tcp6", "ssl", "tls"):
        return False
    interface = next(
        (
            part.partition("=")[2].replace("\\", "")
            for part in _parts(rest)
            if part.startswith("interface=")
        ),
        "",
    )
    if interface == "localhost":
        return True
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def _parts(text: str) -> list[str]:
    """Split at the colons that have no backslash before them."""
    parts = [""]
    escaped = False
    for letter in text:
        if letter == ":" and not escaped:
            parts.append("")
        else:
            parts[-1] += letter
        escaped = letter == "\\" and not escaped
    return parts
