"""Assembles the bridge of a board and the front of a fleet; it only wires them together."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from rkllm_twisted.board.sensors import celsius
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.client_core.address import default_socket
from rkllm_twisted.daemon.assembly import socket_of
from rkllm_twisted.fleet.interfaces import IEngine
from rkllm_twisted.fleet.values import Role
from rkllm_twisted.fleet_service.board_options import BoardOptions
from rkllm_twisted.fleet_service.board_service import BoardService
from rkllm_twisted.fleet_service.front import Front, FrontService
from rkllm_twisted.fleet_service.front_link import FrontLink
from rkllm_twisted.fleet_service.front_options import FrontOptions
from rkllm_twisted.fleet_service.joining import engine_for
from rkllm_twisted.interfaces import IListeningSocket
from rkllm_twisted.offload.parser import Reader
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.service import UNIXSocketService, descriptors_for

__all__ = ["board_service", "front_service"]

_log = Logger("rkllm.fleet")


def board_service(
    options: BoardOptions, reactor: Any = None, engine: IEngine | None = None
) -> BoardService:
    """Make a bridge that has not started.

    :param options: parsed.
    :param reactor: the reactor to run on; the global one by default.
    :param engine: the fleet's; by default the one that the options say.
    :raises StartupError: the key, the certificate or the extra cannot be used; the text says what
        to do.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one
    files = RootedFiles()
    return BoardService(
        reactor,
        engine or engine_for(options, Role.BOARD, reactor),
        options["daemon"] or default_socket(options.environ),
        options["model"],
        lambda: celsius(files),
    )


def front_service(
    options: FrontOptions,
    reactor: Any = None,
    engine: IEngine | None = None,
    source: IListeningSocket | None = None,
) -> FrontService:
    """Make a front that has not started.

    :param options: parsed.
    :param reactor: the reactor to run on; the global one by default.
    :param engine: the fleet's; by default the one that the options say.
    :param source: the socket to listen on; by default the one that the options name.
    :raises StartupError: see :func:`board_service`; or a plugin cannot be used.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one
    role = Role.ADMIN if options["admin"] else Role.FRONT
    if every_client_administers(options, source is not None):
        _log.warn(
            "every client of this socket may load and unload the boards' models (--admin);"
            " --admin-uid or --admin-gid says who may"
        )
    link = FrontLink(reactor, engine or engine_for(options, role, reactor))
    reader = Reader(reactor)
    link.front = Front(reactor, options, find_methods(), link.send, link.call_board, reader)
    endpoint = RKLLMServerEndpoint(reactor, source or socket_of(options))  # type: ignore[arg-type]
    listener = UNIXSocketService(
        endpoint, link.front.factory, descriptors_for(options["max-clients"])
    )
    return FrontService(reactor, link.front, link, listener, reader)


def every_client_administers(options: FrontOptions, is_passed: bool) -> bool:
    """True if other users than the front's own may be clients, and all of them administrators.

    :param is_passed: systemd has opened the socket, with permissions of its own.
    """
    is_named = options["admin-uid"] or options["admin-gid"]
    # To connect to a socket one must be able to write to it.
    is_open = is_passed or options["owner"] is not None or bool(options["mode"] & 0o022)
    return bool(options["admin"]) and not is_named and is_open
