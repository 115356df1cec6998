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


def print_event(event: dict[str, object]) -> None:
    """Print a line of JSON for the program that has started this one; it need not read it."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(event, ensure_ascii=False), flush=True)


def print_call(call: Call) -> None:
    """Print a client's call."""
    print_event({"method": call.method, "params": call.params, "client": call.client})


@click.command()
@click.option("--script", type=click.Path(path_type=Path), help="A JSON file with the answers.")
@click.option("--socket", "path", help="The path to listen at.  [default: a new path]")
def main(script: Path | None, path: str | None) -> None:
    """Act as the daemon until SIGTERM.

    Prints {"listening": PATH} when clients may connect, and then one line for each of their calls.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rkllm-fake-") as directory:
            daemon = (
                FakeDaemon(on_call=print_call)
                if script is None
                else read_script(script, on_call=print_call)
            )
            serve(daemon, path or str(Path(directory) / "rkllm.sock"))
    except StartupError as error:
        sys.exit(str(error))


def serve(daemon: FakeDaemon, path: str) -> None:
    """Serve until a signal ends the process."""
    from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

    service = daemon.service(path, reactor)
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.callWhenRunning(print_event, {"listening": path})
    reactor.run()


if __name__ == "__main__":
    main()
