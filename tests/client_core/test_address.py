"""The client's message if it cannot reach the daemon."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rkllm_twisted.client_core.address import connect_error
from rkllm_twisted.errors import NoDaemon
from rkllm_twisted.wire.socket_path import PACKAGE_SOCKET

UNIT = Path(__file__).parents[2] / "etc" / "rkllm.socket"


@pytest.mark.parametrize(
    ("path", "command"),
    [
        (PACKAGE_SOCKET, "sudo systemctl start rkllm.socket"),
        ("/run/rkllm/cpu.sock", "sudo systemctl start rkllm@cpu.socket"),
        ("/run/rkllm/other", "twistd -n rkllm --socket /run/rkllm/other"),
        ("/tmp/mine.sock", "twistd -n rkllm --socket /tmp/mine.sock"),
    ],
)
def test_the_command_that_starts_a_daemon_is_the_one_for_the_socket(
    path: str, command: str
) -> None:
    """For the package's socket, the command is systemd's."""
    error = connect_error(path, errno.ENOENT, os.strerror(errno.ENOENT))
    assert isinstance(error, NoDaemon)
    assert str(error) == f"No daemon listens at {path}; start one with: {command}"


def test_the_packages_socket_is_the_units() -> None:
    """The path is defined in two places."""
    assert f"ListenStream={PACKAGE_SOCKET}\n" in UNIT.read_text()
