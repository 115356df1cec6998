"""Finds the endpoints that other machines can reach. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

#: Kinds of endpoints that other machines cannot reach.
_LOCAL_KINDS = frozenset({"unix", "rkllm"})


@attrs.frozen
class PassedSocket:
    """A socket that systemd has opened for the service.

    :param domain: its family, as ``systemd:`` endpoints have it: INET, INET6 or UNIX.
    :param address: where it listens: an IP address, or a path.
    :param name: its FileDescriptorName= (systemd.socket(5)).
    """

    domain: str
    address: str
    name: str = ""

    @property
    def is_local(self) -> bool:
        """True if only this machine can reach it."""
        return self.domain == "UNIX" or _is_loopback(self.address)


def passed_socket_at(address: str) -> PassedSocket:
    """Return the socket of an address as systemd writes it, ``127.0.0.1:80`` or ``[::]:80``."""
    host = address.rpartition(":")[0]
    return PassedSocket("INET6" if host.startswith("[") else "INET", host.strip("[]"))


def is_local(description: str, passed: Sequence[PassedSocket] = ()) -> bool:
    """True if only this machine can reach an endpoint.

    :param description: of a server, as Twisted's serverFromString takes it. What is not known for
        certain to be local is not.
    :param passed: the sockets that ``systemd:`` endpoints mean.
    """
    kind, _, rest = description.partition(":")
    if kind in _LOCAL_KINDS:
        return True
    values = dict(_values(rest))
    if kind == "systemd":
        meant = _meant(values, passed)
        return bool(meant) and all(one.is_local for one in meant)
    return kind in ("tcp", "tcp6", "ssl", "tls") and _is_loopback(values.get("interface", ""))


def descriptions_of(passed: Sequence[PassedSocket]) -> tuple[str, ...]:
    """Return the endpoints of all sockets that systemd has passed."""
    return tuple(f"systemd:domain={one.domain}:index={number}" for number, one in enumerate(passed))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _meant(values: Mapping[str, str], passed: Sequence[PassedSocket]) -> Collection[PassedSocket]:
    """Return the sockets that a ``systemd:`` endpoint means."""
    if "name" in values:
        return [one for one in passed if one.name == values["name"]]
    try:
        return [passed[int(values["index"])]]
    except (LookupError, ValueError):
        return []


def _values(text: str) -> Iterator[tuple[str, str]]:
    """Yield the named parts of a description. As in Twisted, the last of a name counts."""
    for part in _parts(text):
        name, equals, value = part.replace("\\", "").partition("=")
        if equals:
            yield name, value


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
