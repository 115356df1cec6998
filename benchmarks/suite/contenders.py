"""The servers that are compared, each on its own UNIX socket."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.processes import ending, environment, twistd

PEERS = Path(__file__).resolve().parents[1] / "peers"
#: The directory where `make bench` installs the npm packages.
NODE_MODULES = Path(sys.prefix) / "node_modules"
#: Seconds within which a server must accept connections.
PATIENCE = 30.0

Command = Callable[[Path, Path], list[str]]
#: Makes a daemon's command from further options of ``twistd rkllm``.
DaemonCommand = Callable[..., Command]


def _python(script: str, *more: str) -> Command:
    return lambda _, path: [sys.executable, str(PEERS / script), str(path), *more]


def _node(script: str) -> Command:
    return lambda _, path: ["node", str(PEERS / script), str(path)]


def daemon(isolation: str, *options: str, python: str = sys.executable) -> Command:
    """Return the daemon's command as a user writes it, with room for 1,000 clients."""
    return lambda _, path: twistd(
        path, isolation, "--max-clients=1100", *options, log=f"{path}.log", python=python
    )


def relay(programs: Path, path: Path) -> list[str]:
    """Return the command of the limit of an all-C path."""
    return [str(programs / "relay"), str(path)]


@attrs.frozen
class Contender:
    """A server to compare.

    :param label: name in the report.
    :param kind: ours, limit, PyPI or npm.
    :param command: makes the command from the programs' directory and the socket's path.
    :param batches: whether it supports JSON-RPC's batches.
    :param params: whether it requires params.
    """

    name: str
    label: str
    kind: str
    framing: str
    command: Command
    batches: bool = True
    params: bool = False

    def ping(self) -> bytes:
        """Return the ping that every server answers."""
        more = b',"params":{}' if self.params else b""
        return b'{"jsonrpc":"2.0","id":###,"method":"server.ping"%b}' % more

    def batch(self, size: int) -> bytes:
        """Return a batch of pings."""
        return b"[%b]" % b",".join(
            self.ping().replace(b"###", b"%d" % number) for number in range(100, 100 + size)
        )


OURS = "ours"
ECHO = "echo"
CONTENDERS: Mapping[str, Contender] = {
    each.name: each
    for each in [
        Contender(OURS, "`twistd rkllm`", "ours", "netstrings", daemon("process")),
        Contender(
            ECHO,
            "bare NetstringReceiver echo, json",
            "limit",
            "netstrings",
            _python("with_twisted.py", "json"),
        ),
        Contender(
            "echo-msgspec",
            "the same with msgspec",
            "limit",
            "netstrings",
            _python("with_twisted.py", "msgspec"),
        ),
        Contender(
            "machine",
            "epoll echo in C",
            "limit",
            "netstrings",
            lambda programs, path: [str(programs / "echo"), str(path)],
        ),
        Contender(
            "jsonrpcserver", "jsonrpcserver", "PyPI", "lines", _python("with_jsonrpcserver.py")
        ),
        Contender("pjrpc", "pjrpc + aiohttp", "PyPI", "http", _python("with_pjrpc.py")),
        Contender(
            "pygls",
            "pygls",
            "PyPI",
            "headers",
            _python("with_pygls.py"),
            batches=False,
            params=True,
        ),
        Contender("jayson", "jayson", "npm", "lines", _node("jayson.js")),
        Contender("vscode", "vscode-jsonrpc", "npm", "headers", _node("vscode.js"), batches=False),
    ]
}


def can_be_had(contender: Contender) -> bool:
    """Tell whether its interpreter and its package are installed."""
    if contender.kind != "npm":
        return True
    return shutil.which("node") is not None and NODE_MODULES.is_dir()


@attrs.frozen
class Server:
    """A running server.

    :param path: path of its socket.
    :param pid: id of its process.
    :param ready: seconds from its start until it accepted a connection.
    """

    path: Path
    pid: int
    ready: float


@contextlib.contextmanager
def running(command: Command, programs: Path, path: Path) -> Iterator[Server]:
    """Start a server and stop it at the end."""
    path.unlink(missing_ok=True)  # most servers leave it behind
    with Path(f"{path}.err").open("wb") as errors:
        begun = time.monotonic()
        process = subprocess.Popen(
            command(programs, path),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env={**environment(), "NODE_PATH": str(NODE_MODULES)},
            cwd=path.parent,
        )
    with ending(process):
        yield Server(path, process.pid, _accepts(process, path) - begun)


def _accepts(process: subprocess.Popen[bytes], path: Path) -> float:
    """Wait until the server accepts connections, and return when it did."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return time.monotonic()
        time.sleep(0.001)
    words = Path(f"{path}.err").read_text(errors="replace")[-1000:]
    raise RuntimeError(f"{path.name} does not answer: {words}")


@contextlib.contextmanager
def all_running(
    names: Sequence[str], programs: Path, directory: Path
) -> Iterator[dict[str, Server]]:
    """Start several servers."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running(CONTENDERS[name].command, programs, directory / f"{name}.sock")
            )
            for name in names
        }
