"""The configuration of a fleet's router, a Crossbar node; ``rkllm fleet router-config`` writes it.

Crossbar is never imported: it is a service with an environment of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.errors import StartupError
from rkllm_twisted.fleet.values import REALM, Role

#: Bytes of one WAMP message: what :data:`~rkllm_twisted.fleet.values.MAX_SIZE` needs, and some.
_MAX_MESSAGE = 16 * 1024 * 1024
#: The modules that the router imports, and their names in its folder.
_MODULES = {"access.py": "rkllm_access.py", "wamp/router.py": "rkllm_router.py"}


@attrs.frozen
class RouterSettings:
    """What differs between routers.

    :param keys: the directory of public keys: ``<keys>/<role>/<name>``.
    :param port: of the WebSocket for boards and fronts of other hosts.
    :param interface: the address that it listens at.
    :param socket: the path of the UNIX socket for fronts of this host; None for none.
    :param certificate: a PEM file of the chain for TLS; None for none, which only a private network
        allows.
    :param private_key: the PEM file of its key.
    """

    keys: Path
    port: int = 9000
    interface: str = "0.0.0.0"
    socket: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


def configuration(settings: RouterSettings) -> dict[str, Any]:
    """Return Crossbar's node configuration. Pure."""
    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "id": "fleet",
                "options": {"pythonpath": [".."]},
                # No store: its queue ignores limits, runs cancelled calls, and stops at errors.
                "realms": [{"name": REALM, "roles": _roles()}],
                "components": [
                    {
                        "type": "class",
                        "classname": "rkllm_router.Access",
                        "realm": REALM,
                        "role": "access",
                        "extra": {"keys": str(settings.keys.absolute())},
                    }
                ],
                "transports": list(_transports(settings)),
            }
        ],
    }


def _roles() -> list[dict[str, Any]]:
    """Return the members' roles, which the authorizer decides, and that of the authorizer."""
    register = {"uri": "rkllm.router.", "match": "prefix", "allow": {"register": True}}
    ends = [
        {"uri": f"wamp.session.{name}", "match": "exact", "allow": {"call": True}}
        for name in ("list", "get", "kill")
    ]
    return [
        {"name": "access", "permissions": [register, *ends]},
        *({"name": role.value, "authorizer": "rkllm.router.authorize"} for role in Role),
    ]


def _transports(settings: RouterSettings) -> Iterator[dict[str, Any]]:
    endpoint: dict[str, Any] = {
        "type": "tcp",
        "port": settings.port,
        "interface": settings.interface,
    }
    if settings.certificate is not None:
        endpoint["tls"] = {
            "certificate": str(settings.certificate.absolute()),
            "key": str((settings.private_key or settings.certificate).absolute()),
        }
    yield _transport("boards", endpoint)
    if settings.socket is not None:
        path = str(settings.socket.absolute())
        yield _transport("fronts", {"type": "unix", "path": path})


def _transport(name: str, endpoint: dict[str, Any]) -> dict[str, Any]:
    return {
        # On a UNIX socket, too: Crossbar's rawsocket has no ping.
        "type": "websocket",
        "id": name,
        "endpoint": endpoint,
        "serializers": ["msgpack"],
        "auth": {"cryptosign": {"type": "dynamic", "authenticator": "rkllm.router.authenticate"}},
        # Without a ping a board that hangs would keep its call for minutes.
        "options": {
            "auto_ping_interval": 2000,
            "auto_ping_timeout": 3000,
            "auto_ping_size": 12,
            "max_frame_size": _MAX_MESSAGE,
            "max_message_size": _MAX_MESSAGE,
            "fail_by_drop": True,
        },
    }


def write(directory: Path, settings: RouterSettings) -> Path:
    """Write a node's folder, the folders for keys, and return the configuration's path.

    :raises StartupError: it cannot be written, or there is another configuration.
    """
    node = directory / ".crossbar"
    path = node / "config.json"
    here = Path(__file__).parent
    try:
        node.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            json.dump(configuration(settings), file, indent=2)
        for source, name in _MODULES.items():
            text = (here / source).read_text()
            (directory / name).write_text(
                text.replace("rkllm_twisted.fleet.access", "rkllm_access")
            )
        for role in Role:
            (settings.keys / role.value).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise StartupError(f"{path} exists; remove it to write another.") from None
    except OSError as error:
        raise StartupError(f"{directory} cannot be written: {error}.") from None
    return path
