"""The variables that systemd sets, and the socket that it passes."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rkllm_twisted.errors import SocketError, StartupError
from rkllm_twisted.systemd.sd_daemon import SystemdEnvironment, activated_socket, take_environment

ME, ANOTHER = str(os.getpid()), str(os.getppid())


def test_without_systemd_there_is_nothing() -> None:
    """The daemon was not started by systemd."""
    assert take_environment({"HOME": "/"}) == SystemdEnvironment()


def test_everything_is_read_and_removed() -> None:
    """A child process must not use the variables."""
    environ = {
        "HOME": "/",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "rkllm.socket",
        "LISTEN_PID": ME,
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_PID": ME,
        "WATCHDOG_USEC": "30000000",
    }
    assert take_environment(environ) == SystemdEnvironment(range(3, 4), "/run/systemd/notify", 30.0)
    assert environ == {"HOME": "/"}


def test_sockets_need_no_names() -> None:
    """LISTEN_FDNAMES is newer than LISTEN_FDS, and may be missing."""
    assert take_environment({"LISTEN_FDS": "2", "LISTEN_PID": ME}).sockets == range(3, 5)


@pytest.mark.parametrize("environ", [{"LISTEN_PID": ANOTHER}, {}])
def test_sockets_for_another_process_are_left_alone(environ: dict[str, str]) -> None:
    """The variables may be a parent's."""
    assert take_environment({"LISTEN_FDS": "1", **environ}).sockets == range(0)


def test_a_watchdog_for_another_process_is_not_fed() -> None:
    """sd_watchdog_enabled(3)."""
    assert take_environment({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": ANOTHER}).watchdog is None


def test_a_watchdog_may_name_no_process() -> None:
    """The watchdog then applies to the process that reads the variable."""
    assert take_environment({"WATCHDOG_USEC": "1500000"}).watchdog == 1.5


@pytest.mark.parametrize(
    "environ", [{"LISTEN_FDS": "-1", "LISTEN_PID": ME}, {"WATCHDOG_USEC": "30s"}]
)
def test_a_variable_that_is_no_number_is_named(environ: dict[str, str]) -> None:
    """The error is one sentence."""
    with pytest.raises(StartupError, match="The variable [A-Z_]* must be a whole number from 0"):
        take_environment(environ)


def datagrams() -> int:
    """A socket of the wrong type."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()


def internet() -> int:
    """A socket of the wrong family."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening.detach()


def connection() -> int:
    """A socket that does not listen, as of a unit with Accept=yes."""
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


def no_socket() -> int:
    """A descriptor of something else."""
    return os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("wrong", [datagrams, internet, connection, no_socket])
def test_another_kind_of_descriptor_is_refused(wrong: Callable[[], int]) -> None:
    """The error names the unit and what it must have."""
    descriptor = wrong()
    with pytest.raises(SocketError, match=r"rkllm\.socket must have one ListenStream= with a"):
        activated_socket([descriptor])
    with contextlib.suppress(OSError):
        os.close(descriptor)


def test_several_sockets_are_refused() -> None:
    """The daemon can use only one socket."""
    with pytest.raises(SocketError, match="systemd passed 2 sockets"):
        activated_socket([3, 4])


def test_the_socket_has_its_path_and_is_not_inherited(tmp_path: Path) -> None:
    """systemd passes it so that children would inherit it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.set_inheritable(True)
        adopted = activated_socket([os.dup(listening.fileno())])
        assert adopted is not None
        with adopted.open() as opened:
            assert adopted.path == tmp_path / "s"
            assert not opened.get_inheritable()
