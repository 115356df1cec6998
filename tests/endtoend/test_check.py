"""``--check`` describes what a daemon would do, or why it would not start."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, environment, twistd
from other_users import GROUP, SOMEBODY, acting_as, names_in, needs_root, open_directory

from rkllm_twisted.errors import SocketError
from rkllm_twisted.server.socket_file import SocketFile

Start = Callable[..., Daemon]
PROJECT = Path(__file__).parents[2]


def checked(directory: Path, *options: str, **variables: str) -> tuple[int, str]:
    """Run the check; return the exit code and the output."""
    done = subprocess.run(
        [*twistd(), "-n", "--pidfile=", "rkllm", "--check", *options],
        cwd=directory,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_daemon_that_would_start_is_described(tmp_path: Path, isolation: str) -> None:
    """The check leaves no files."""
    code, said = checked(
        tmp_path,
        "--library=cpu",
        f"--socket={tmp_path}/s",
        f"--isolation={isolation}",
        "--allow-uid=0",
        "--allow-gid=7",
        "--admin-gid=0",
        f"--model-dir={tmp_path}",
        RKLLM_QUEUE="5",
    )
    assert code == 0
    for line in (
        r"All is well\. The daemon would",
        r"- open \S+librkllm-cpu-\S+\.so in .*process.* \(backend cpu.*, layout 1\.3\.0: .*\)",
        rf"- listen on {tmp_path}/s, mode 0600",
        r"- let in uid 0, gid 7",
        r"- let gid 0 administer it",
        rf"- let C open {tmp_path}",
        r"- serve \d+ methods; from other packages: none",
        r"- log text, from level info on",
        r"- queue = 5 \(RKLLM_QUEUE\)",
        r"- allow-uid = 0 \(--allow-uid\)",
    ):
        assert re.search(f"^{line}$", said, re.MULTILINE), (line, said)
    assert names_in(tmp_path) == []


def test_a_daemon_that_runs_is_not_disturbed(start: Start) -> None:
    """The check reports the running daemon."""
    daemon = start()
    code, said = checked(daemon.path.parent, "--library=cpu", f"--socket={daemon.path}")
    assert code == 0
    assert said.startswith(f"All is well, but another program serves {daemon.path} now.\n")
    assert f"- listen on {daemon.path}, mode 0600 (another program listens there now)" in said
    with daemon.connect() as client:
        assert client.ask("server.ping")["result"] == "pong"


def test_a_dead_daemons_socket_stays_where_it_is(tmp_path: Path) -> None:
    """Only a start removes the socket."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    code, said = checked(tmp_path, "--library=cpu", f"--socket={tmp_path}/s")
    assert code == 0
    assert f"- listen on {tmp_path}/s, mode 0600\n" in said
    assert (tmp_path / "s").is_socket()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--library=/nowhere.so"], "There is no library /nowhere.so"),
        (["--library=cpu", "--socket=/nowhere/s"], "The directory /nowhere does not exist"),
        (["--library=cpu", "--socket=file"], "file exists and is not a socket"),
        (["--library=cpu", "--abi=9.9"], "9.9"),
        (["--library=cpu", "--abi=1.1.4", "--history=connection"], "--history"),
        (["--library=cpu", "--max-clients=99999999"], "file descriptors"),
        (["--library=cpu", "--child-cpus=8191"], "does not have: [8191]; it has 0-"),
        (["--library=cpu", "--queue=0"], "--queue must be a whole number from 1, not '0'"),
        (["--library=cpu", "--config=bad.toml"], "perhaps queue is meant"),
    ],
)
def test_what_would_keep_it_from_starting_is_said(
    tmp_path: Path, options: list[str], said: str
) -> None:
    """The exit code is not 0."""
    (tmp_path / "bad.toml").write_text("queu = 1\n")
    (tmp_path / "file").write_text("precious")
    code, words = checked(tmp_path, f"--socket={tmp_path}/s", *options)
    assert code != 0
    assert said in words
    assert (tmp_path / "file").read_text() == "precious"


@needs_root
def test_a_socket_that_cannot_be_given_away_is_found() -> None:
    """The user of the check is not root."""
    with open_directory() as directory:
        directory.chmod(0o1777)
        with acting_as(SOMEBODY, GROUP):
            assert SocketFile(f"{directory}/s", 0o600, SOMEBODY, GROUP).check() == ""
            for owner, group in ((0, GROUP), (SOMEBODY, 0)):
                with pytest.raises(SocketError, match="cannot be given"):
                    SocketFile(f"{directory}/s", 0o600, owner, group).check()
        directory.chmod(0o755)
        with acting_as(SOMEBODY), pytest.raises(SocketError, match="Nothing may be made in"):
            SocketFile(f"{directory}/s", 0o600).check()


def test_the_pages_command_is_good(tmp_path: Path) -> None:
    """The page's command uses the page's file."""
    page = (PROJECT / "docs" / "configuration.md").read_text()
    [command] = re.findall(r"^```sh\n(.*)\n```$", page, re.MULTILINE)
    words = shlex.split(command.replace("etc/", f"{PROJECT}/etc/"))
    assert words[:3] == ["twistd", "-n", "rkllm"]
    code, said = checked(tmp_path, *words[3:], f"--socket={tmp_path}/s")
    assert code == 0
    assert "All is well" in said
