"""How a board or a front joins a fleet: the options, and the engine that they make."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rkllm_twisted.daemon.coercions import must_be
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.interfaces import IEngine
from rkllm_twisted.fleet.values import Role, checked_name


@must_be("1 to 64 lower-case letters, digits and underscores")
def member(text: str) -> str:
    """Read the name of a member of a fleet."""
    return checked_name(text)


def joining_settings(prefix: str, member_is: str) -> Mapping[str, Setting]:
    """Return the options of a member.

    :param prefix: of their variables in the environment.
    :param member_is: the member, in words.
    """
    return {
        "router": Setting(
            None,
            "The address of the fleet's router: wss://HOST:PORT or, on its own host, unix:PATH.",
            f"{prefix}ROUTER",
            otherwise="it must be given",
        ),
        "name": Setting(
            None,
            f"The name of this {member_is} in the fleet, under which the router knows its key.",
            f"{prefix}NAME",
            member,
            otherwise="made of the machine's name",
        ),
        "key": Setting(
            None,
            "The file with the private key that 'rkllm fleet key' has made.",
            f"{prefix}KEY",
            otherwise="it must be given",
        ),
        "ca": Setting(
            None,
            "A file with the certificate that the router's is checked by.",
            f"{prefix}CA",
            otherwise="those that the system trusts",
        ),
    }


def own_name() -> str:
    """Return a name made of the machine's."""
    letters = socket.gethostname().partition(".")[0].lower()
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in letters)[:64] or "board"


def missing(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong about the options of a member, a sentence each."""
    needed = [name for name in ("router", "key") if options[name] is None]
    return [f"--{name} must be given; docs/fleet.md shows how a member joins." for name in needed]


def engine_for(options: Mapping[str, Any], role: Role, reactor: Any) -> IEngine:
    """Make the engine of a member.

    :raises StartupError: the extra is not installed, or the address, the key or the certificate
        cannot be used.
    """
    key = keys.read(Path(options["key"]))
    try:
        from rkllm_twisted.fleet.wamp.engine import WAMPEngine  # noqa: PLC0415 - an extra
    except ImportError:
        raise keys.missing() from None
    ca = None if options["ca"] is None else Path(options["ca"])
    engine: IEngine = WAMPEngine(reactor, options["router"], options["name"], role, key, ca)
    return engine
