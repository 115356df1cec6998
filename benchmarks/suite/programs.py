"""The C programs of the benchmarks: compile them once per run, and read their output."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.cpu import library_path

BENCHMARKS = Path(__file__).resolve().parents[1]
SOURCES = BENCHMARKS / "load"
HEADERS = BENCHMARKS.parent / "cpu_runtime" / "include"
#: The release of the library that is measured by itself.
RELEASE, RELEASE_NUMBER = "1.3.0", 10300
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
#: Seconds after which a measurement fails.
PATIENCE = 120.0

#: Program -> its sources and compiler flags.
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "load": ("load.c", "connect.c", "frames.c", "samples.c"),
    "stream": ("stream.c", "connect.c", "frames.c", "samples.c"),
    "echo": ("echo.c", "listen.c"),
    "http": ("http.c", "samples.c"),
    "own": ("own.c",),
    "relay": ("relay.c", "frames.c", "listen.c"),
}
#: Those that open the library.
LINKED = ("own", "relay")


class MeasurementError(Exception):
    """A program of the benchmarks failed; the text has its name and its output."""


def build(directory: Path) -> None:
    """Compile every program into a directory."""
    if shutil.which("cc") is None:
        sys.exit("The benchmarks need a C compiler: sudo apt-get install gcc libc6-dev")
    library = library_path(RELEASE)
    for name, sources in PROGRAMS.items():
        linked = [str(library), f"-Wl,-rpath,{library.parent}"] if name in LINKED else []
        defines = [f"-DRKLLM_ABI={RELEASE_NUMBER}", f"-I{HEADERS}"]
        paths = [str(SOURCES / source) for source in sources]
        command = ["cc", *FLAGS, *defines, "-o", str(directory / name), *paths, *linked]
        subprocess.run(command, check=True)


@attrs.frozen
class Load:
    """The requests to send to a server.

    :param payload: one message; ``###`` stands for an id.
    :param depth: requests under way on each connection.
    :param rate: requests per second in total; 0 means as fast as they are answered.
    :param connect: whether each request gets its own connection.
    :param expect: a required part of the first answer.
    :param first: a first request of each connection, which is not measured.
    """

    payload: bytes
    framing: str = "netstrings"
    connections: int = 1
    depth: int = 1
    seconds: float = 0.3
    rate: float = 0.0
    connect: bool = False
    expect: str = ""
    first: str = ""

    def arguments(self) -> list[str]:
        """Return the arguments for the load generator."""
        return [
            f"--framing={self.framing}",
            f"--connections={self.connections}",
            f"--depth={self.depth}",
            f"--seconds={self.seconds}",
            f"--rate={self.rate}",
            *(["--connect"] if self.connect else []),
            *([f"--expect={self.expect}"] if self.expect else []),
            *([f"--first={self.first}"] if self.first else []),
        ]


@attrs.frozen
class Programs:
    """The compiled programs.

    :param directory: their directory.
    """

    directory: Path

    def load(self, socket: Path, load: Load) -> dict[str, Any]:
        """Send a load to a server and measure it."""
        return _measured(
            [str(self.directory / "load"), *load.arguments(), str(socket)], load.payload
        )

    def stream(
        self, socket: Path, payload: bytes, once_begun: Callable[[], object] = lambda: None
    ) -> dict[str, Any]:
        """Read one stream and measure.

        :param once_begun: called after the start of the program, while it waits for its tokens.
        """
        return _measured([str(self.directory / "stream"), str(socket)], payload, once_begun)

    def http(
        self,
        port: int,
        body: bytes,
        connections: int = 1,
        requests: int = 1,
        addresses: int = 1,
        ages: bool = False,
        once_begun: Callable[[], object] = lambda: None,
    ) -> dict[str, Any]:
        """Send requests to OpenAI's API and measure.

        :param requests: requests of each connection, one after another.
        :param addresses: the connections come from so many addresses.
        :param ages: whether the tokens' ages are measured, or how long the requests take.
        :param once_begun: called after the start of the program.
        """
        numbers = {"connections": connections, "requests": requests, "addresses": addresses}
        options = [f"--{name}={number}" for name, number in numbers.items()]
        command = [str(self.directory / "http"), *options, *(["--ages"] if ages else []), str(port)]
        return _measured(command, body, once_begun)

    def own(self, model: Path, prompt: str) -> dict[str, Any]:
        """Run the C library by itself."""
        return _measured([str(self.directory / "own"), str(model), prompt])

    @contextlib.contextmanager
    def beside(self, program: str, socket: Path, payload: bytes, *more: str) -> Iterator[None]:
        """Run a program in the background."""
        command = [str(self.directory / program), *more, str(socket)]
        process = _started(command, payload, subprocess.DEVNULL)
        try:
            yield
        finally:
            ended = process.poll()
            process.kill()
            process.wait()
            if ended:
                raise MeasurementError(f"{program}, which ran beside, ended with {ended}")

    def load_beside(self, socket: Path, load: Load) -> contextlib.AbstractContextManager[None]:
        """Send a load to a server in the background."""
        return self.beside("load", socket, load.payload, *load.arguments())


def _started(arguments: list[str], given: bytes, out: int) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        return subprocess.Popen(arguments, stdin=file, stdout=out, stderr=out)


def _measured(
    arguments: list[str], given: bytes = b"", once_begun: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Run a program and return the JSON that it prints at its end."""
    process = _started(arguments, given, subprocess.PIPE)
    try:
        once_begun()
        out, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{arguments} took longer than {PATIENCE:g} s") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        words = errors.decode("utf-8", "replace").strip()[-400:]
        raise MeasurementError(f"{' '.join(arguments)}: {words}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found
