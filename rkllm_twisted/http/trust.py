"""The requests that are answered at all: by their Host, their Origin and their API key."""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import attrs

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.keys import KeyRing

#: Returns a header of a request.
Header = Callable[[str], str | None]
_LOCAL = ("localhost", ".localhost", ".local", ".internal")


@functools.lru_cache(maxsize=64)  # a client sends the same one with each request
def _named(host: str) -> tuple[str | None, bool]:
    """Return the name in a Host header, and whether it is an address or means any machine.

    :returns: no name if it is a broken address.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
    except ValueError:  # a broken IPv6 address
        return None, False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name, any(
            name == own.removeprefix(".") if own[0] != "." else name.endswith(own) for own in _LOCAL
        )
    return name, True


def own_names(further: Collection[str] = ()) -> frozenset[str]:
    """Return the names of this machine.

    :param further: names that it has elsewhere.
    """
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0], *further} - {""})


@attrs.frozen
class Trust:
    """The rules for who may ask.

    A page in a browser can send requests to this machine. Without a key it must not get an answer:
    not under a foreign name that its own DNS resolves to this machine (the check of Host), and not
    from a foreign page (the check of Origin).

    :param keys: the API keys.
    :param origins: the origins of pages that may ask, such as ``https://chat.example``.
    :param hosts: further names of this machine.
    """

    keys: KeyRing
    origins: Collection[str] = ()
    hosts: Collection[str] = attrs.field(factory=own_names)

    def check_source(self, header: Header) -> None:
        """Check by what name, and from which page, a request comes.

        :raises HTTPError: a browser may have been tricked into it.
        """
        host = header("host")
        if not self.keys.is_needed and host is not None and not self.is_own(host):
            raise HTTPError(
                403,
                f"The name {host[:100]} in the header Host is not this machine's; use its address,"
                " localhost, or start twistd rkllm-http with an --api-key-file.",
                "permission_error",
                "host_not_allowed",
            )
        origin = header("origin")
        if origin is not None and not self.allows(origin, host):
            raise HTTPError(403, _not_allowed(origin), "permission_error", "origin_not_allowed")

    def check_key(self, header: Header) -> str | None:
        """Return the name of the key of a request; None if no key is needed.

        :raises HTTPError: there is no key, or a wrong one.
        """
        if not self.keys.is_needed:
            return None
        given = _key_in(header)
        name = None if given is None else self.keys.name_of(given.encode("utf-8", "replace"))
        if name is None:
            problem = "needs an API key" if given is None else "does not know this API key"
            raise HTTPError(
                401,
                f"This service {problem}; send one as Authorization: Bearer KEY.",
                "authentication_error",
                "invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return name

    def is_own(self, host: str) -> bool:
        """True if a Host header means this machine: an address, a local name, or its own."""
        name, is_local = _named(host)
        return is_local or name in self.hosts

    def allows(self, origin: str, host: str | None) -> bool:
        """True if pages of an origin may ask: those of this service, and those of the options."""
        return origin in self.origins or (host is not None and origin.partition("://")[2] == host)

    def is_foreign(self, origin: str) -> bool:
        """True if a browser needs permission to show an answer to pages of an origin."""
        return origin in self.origins


def _not_allowed(origin: str) -> str:
    if "://" not in origin:  # such as null, which any page can have
        return (
            f"Pages whose origin is {origin[:100]} may not use this service: files, and frames in a"
            " sandbox; open the page by its address on a server."
        )
    return (
        f"Pages of {origin[:100]} may not use this service; start twistd rkllm-http with"
        f" --cors-origin {origin[:100]} if they should."
    )


def _key_in(header: Header) -> str | None:
    scheme, _, key = (header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return header("x-api-key")
