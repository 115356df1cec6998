"""The options of ``twistd rkllm-board``, the bridge of a board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rkllm_twisted.daemon.option_table import SETTINGS as DAEMON_SETTINGS
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.daemon.table_options import TableOptions
from rkllm_twisted.fleet_service.joining import joining_settings, missing, own_name
from rkllm_twisted.fleet_service.prefixes import prefixed
from rkllm_twisted.wire.socket_path import DEFAULT_SOCKET

PREFIX = "RKLLM_BOARD_"

SETTINGS: Mapping[str, Setting] = {
    "config": Setting(
        None,
        "A TOML file with settings, see etc/rkllm-board.toml.",
        f"{PREFIX}CONFIG",
        in_file=False,
        otherwise="none",
    ),
    **joining_settings(PREFIX, "board"),
    "daemon": Setting(
        None,
        "The socket of the board's daemon, which runs with --history connection.",
        f"{PREFIX}DAEMON",
        otherwise=f"$RKLLM_UDS_PATH, else {DEFAULT_SOCKET}",
        short="d",
    ),
    "model": Setting(
        None,
        "The model to load when none is: its path, or its name in the daemon's --model-dir.",
        f"{PREFIX}MODEL",
        otherwise="the daemon's own options, or an administrator, load one",
    ),
    **{name: prefixed(name, DAEMON_SETTINGS[name], PREFIX) for name in ("log-format", "log-level")},
}


class BoardOptions(TableOptions):
    """The options, parsed: values by name."""

    settings = SETTINGS
    longdesc: ClassVar[str] = (
        "Joins the daemon of this board to a fleet: fronts give it runs of the model that it has"
        " loaded, one at a time."
    )

    def check(self) -> list[str]:
        """Return what is wrong about the values together, a sentence each."""
        if self["name"] is None:
            self["name"] = own_name()
        return missing(self)
