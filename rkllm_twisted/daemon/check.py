"""``--check``: checks that the daemon would start, and describes what it would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rkllm_twisted.daemon import assembly
from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.rpc.permissions import Principals
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.server.service import descriptors_for, raise_limit
from rkllm_twisted.values import RuntimeVersion

#: The beginning of the names of modules with this package's own methods.
OWN_PACKAGE = "rkllm_twisted."


def check(options: Options) -> str:
    """Check the library, the plugins, the socket's directory, and all that the options name.

    It does not listen or load a model, and does not disturb a running daemon.

    :returns: what the daemon would do, in lines.
    :raises StartupError: it would not start; the text says what to do.
    """
    daemon = assembly.makeService(options)
    raise_limit(descriptors_for(options["max-clients"]))
    socket = assembly.socket_of(options).check()
    return "\n".join(_lines(options, daemon.npu.version(), socket))


def _lines(options: Options, runtime: RuntimeVersion, socket: str) -> Iterator[str]:
    if socket:
        yield f"All is well, but another program serves {options['socket']} now."
        yield "Once that has ended, the daemon would"
    else:
        yield "All is well. The daemon would"
    where = {"process": "in a process of its own", "thread": "in its own process"}
    yield (
        f"- open {runtime.library} {where[options['isolation']]} (backend {runtime.backend},"
        f" layout {runtime.abi}: {runtime.recognised_by})"
    )
    yield f"- listen on {options['socket']}, mode {options['mode']:04o}{socket}"
    permissions = assembly.permissions_of(options)
    yield f"- let in {_named(permissions.clients, 'every user that may open the socket')}"
    yield f"- let {_named(permissions.administrators, 'every client')} administer it"
    yield f"- let C open {' and '.join(options['model-dir']) or 'any file that it may'}"
    yield f"- load {options['model'] or 'no model by itself'}"
    yield f"- serve {_methods()}"
    yield f"- log {options['log-format']}, from level {options['log-level']} on"
    yield from _settings(options)


def _named(principals: Principals, everyone: str) -> str:
    if not principals:
        return everyone
    words = (("uid", principals.users), ("gid", principals.groups))
    return ", ".join(f"{word} {number}" for word, those in words for number in sorted(those))


def _methods() -> str:
    found = find_methods()
    others = [name for name, m in found.items() if not type(m).__module__.startswith(OWN_PACKAGE)]
    return f"{len(found)} methods; from other packages: {_joined(others)}"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _settings(options: Options) -> Iterator[str]:
    given = {name: source for name, source in options.sources.items() if SETTINGS[name].in_file}
    yield "These settings are not the defaults:" if given else "All settings are the defaults."
    for name, source in given.items():
        yield f"- {name} = {_shown(options, name)} ({source})"


def _shown(options: Options, name: str) -> object:
    value = options[name]
    if name == "mode":
        return f"{value:04o}"
    return _joined([str(item) for item in value]) if isinstance(value, tuple) else value
