"""The options of ``twistd rkllm-fleet``, the front of a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import attrs

from rkllm_twisted.daemon.coercions import size_text
from rkllm_twisted.daemon.option_table import SETTINGS as DAEMON_SETTINGS
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.daemon.table_options import TableOptions
from rkllm_twisted.fleet.values import MAX_SIZE
from rkllm_twisted.fleet_service.joining import joining_settings, missing, own_name
from rkllm_twisted.fleet_service.prefixes import prefixed
from rkllm_twisted.wire.socket_path import DEFAULT_SOCKET

PREFIX = "RKLLM_FLEET_"
#: The front's socket, beside the daemon's.
SOCKET = DEFAULT_SOCKET.replace("rkllm.sock", "rkllm-fleet.sock")
#: Options that mean what they mean for a daemon.
_OF_DAEMON = (
    "mode",
    "owner",
    "group",
    "allow-uid",
    "allow-gid",
    "admin-uid",
    "admin-gid",
    "max-clients",
    "max-clients-per-user",
    "max-requests",
    "max-unparsed",
    "message-timeout",
    "max-unread",
    "max-unread-total",
    "unread-timeout",
    "log-format",
    "log-level",
    "log-prompts",
)
_OWN: Mapping[str, Setting] = {
    "config": Setting(
        None,
        "A TOML file with settings, see etc/rkllm-fleet.toml.",
        in_file=False,
        otherwise="none",
    ),
    "socket": attrs.evolve(DAEMON_SETTINGS["socket"], default=SOCKET),
    "model": Setting(
        None,
        "The model of requests that name none.",
        otherwise="the only one that the boards have",
    ),
    "queue": attrs.evolve(
        DAEMON_SETTINGS["queue"], meaning="Requests that may wait for a board, of all clients."
    ),
    "max-message": attrs.evolve(DAEMON_SETTINGS["max-message"], default=size_text(MAX_SIZE)),
    "admin": Setting(
        "no",
        "Join as an administrator of the fleet, so that fleet.call may load and unload by board.",
        parse=DAEMON_SETTINGS["check"].parse,
    ),
    **{name: DAEMON_SETTINGS[name] for name in _OF_DAEMON},
    "max-unparsed": attrs.evolve(DAEMON_SETTINGS["max-unparsed"], default="128M"),
}
SETTINGS: Mapping[str, Setting] = {
    **joining_settings(PREFIX, "front"),
    **{name: prefixed(name, setting, PREFIX) for name, setting in _OWN.items()},
}


class FrontOptions(TableOptions):
    """The options, parsed: values by name."""

    settings = SETTINGS
    longdesc: ClassVar[str] = (
        "Serves the boards of a fleet on one socket, as a daemon serves its NPU: each request goes"
        " to a board that is free and has the model."
    )
    #: False for a front whose engine somebody else makes.
    needs_router: ClassVar[bool] = True

    def check(self) -> list[str]:
        """Return what is wrong about the values together, a sentence each."""
        if self["name"] is None:
            self["name"] = own_name()
        problems = missing(self) if self.needs_router else []
        if self["max-unparsed"] < self["max-message"]:
            problems.append(
                "--max-unparsed must not be less than --max-message: no message of that size could"
                " be received."
            )
        return problems
