"""``python -m rkllm_twisted.testing``: a fake daemon in a process of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path

import click

from rkllm_twisted.errors import StartupError
from rkllm_twisted.testing.daemon import FakeDaemon
from rkllm_twisted.testing.recorder import Call
from rkllm_twisted.testing.script import read_script


def say(event: dict[str, object]) -> None:
    """Print a line of JSON, for whoever has started it; nobody has to read it."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(event, ensure_ascii=False), flush=True)


def hear(call: Call) -> None:
    """Tell of a call."""
    say({"method": call.method, "params": call.params, "client": call.client})


@click.command()
@click.option("--script", type=click.Path(path_type=Path), help="What to answer: a JSON file.")
@click.option("--socket", "path", help="Where to listen.  [default: a path of its own]")
def main(script: Path | None, path: str | None) -> None:
    """Play the daemon until SIGTERM.

    Prints {"listening": PATH} when clients may come, and then a line for each call of theirs.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rkllm-fake-") as directory:
            daemon = FakeDaemon(heard=hear) if script is None else read_script(script, heard=hear)
            serve(daemon, path or str(Path(directory) / "rkllm.sock"))
    except StartupError as error:
        sys.exit(str(error))


def serve(daemon: FakeDaemon, path: str) -> None:
    """Serve until a signal comes."""
    from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

    service = daemon.service(path, reactor)
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.callWhenRunning(say, {"listening": path})
    reactor.run()


if __name__ == "__main__":
    main()
