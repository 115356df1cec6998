"""Making a member's engine: the one place that knows which engine a fleet has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.interfaces import IEngine
from rkllm_twisted.fleet.values import Role


def engine(
    reactor: Any, router: str, name: str, role: Role, key: Path, ca: Path | None = None
) -> IEngine:
    """Make the engine of a member, which has not joined yet.

    :param router: its address: ``wss://host:port``, ``ws://host:port`` or ``unix:/path``.
    :param key: the file of the private key.
    :param ca: the PEM file of the authority of the router's certificate; None for the system's.
    :raises StartupError: the extra ``fleet`` is not installed, or one of these cannot be used.
    """
    private_key = keys.read(key)
    try:
        from rkllm_twisted.fleet.wamp.engine import WAMPEngine  # noqa: PLC0415 - an extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "rkllm_twisted":
            raise
        raise keys.missing() from error
    return WAMPEngine(reactor, router, name, role, private_key, ca)
