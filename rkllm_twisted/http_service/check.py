"""``--check``: checks that the service would start, and describes what it would do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rkllm_twisted.blocking import Client
from rkllm_twisted.board.http_checks import key_file_problem
from rkllm_twisted.board.machine import nodes_of
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.errors import RPCError, Unreachable
from rkllm_twisted.http_service.assembly import Options, makeService

#: The beginning of the names of modules with this package's own routes.
OWN_PACKAGE = "rkllm_twisted."
#: The seconds that a daemon may take to answer.
PING_S = 3.0


def check(options: Options, reactor: Any) -> str:
    """Check the keys, the endpoints, the plugins, and whether the daemons answer.

    It does not listen, and loads no model.

    :returns: what the service would do, in lines.
    :raises StartupError: it would not start; the text says what to do.
    """
    service = makeService(options, reactor)
    return "\n".join(["All is well. The service would", *_lines(options, service)])


def _lines(options: Options, service: Any) -> Iterator[str]:
    for description in options["listen"]:
        reach = "this machine only" if options.is_local(description) else "other machines, too"
        yield f"- listen on {description}: {reach}"
    count = service.keys.reload()
    yield f"- let in {f'those with one of {count} keys' if count else 'everybody without a key'}"
    yield from _key_warning(options["api-key-file"])
    yield f"- let pages of {', '.join(options['cors-origin']) or 'no other origin'} use it"
    if options.embedded is not None:
        yield f"- run a daemon on {options.embedded['socket']} in its own process"
    for address in options.addresses[options.embedded is not None :]:
        yield f"- ask the daemon at {address}, which {_state(address)}"
    routes = service.resource.routes.all
    others = [one for one in routes if not type(one).__module__.startswith(OWN_PACKAGE)]
    names = ", ".join(one.paths[0] for one in others) or "none"
    yield f"- serve {len(routes)} routes; from other packages: {names}"
    given = {name: source for name, source in options.sources.items() if name != "check"}
    yield "These settings are not the defaults:" if given else "All settings are the defaults."
    yield from (f"- {name} = {options[name]} ({source})" for name, source in given.items())


def _key_warning(path: str | None) -> Iterator[str]:
    for node in nodes_of(RootedFiles(), [] if path is None else [str(Path(path).absolute())[1:]]):
        problem = key_file_problem(node)
        if problem:
            yield f"  {problem}"


def _state(address: str) -> str:
    """Say whether a daemon answers."""
    if ":" in address and not address.startswith("unix:"):
        return "is not asked now, since it is no UNIX socket"
    try:
        with Client(address.removeprefix("unix:").removeprefix("path="), timeout=PING_S) as client:
            client.ping()
    except (RPCError, Unreachable) as error:
        return f"does not answer now ({error})"
    return "answers"
