"""A start imports what it uses: each module costs time and memory at every boot of a board."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

#: The folders and modules of the package of which a start imports everything but LATER_OWN.
WHOLE = frozenset(
    (
        "abi",
        "cpu",
        "daemon",
        "errors",
        "formats",
        "http_interfaces",
        "constraint_interfaces",
        "interfaces",
        "isolation",
        "methods",
        "models",
        "npu",
        "offload",
        "rpc",
        "run_error",
        "runtime",
        "runtime_interfaces",
        "server",
        "systemd",
        "tap",
        "values",
        "vision_interfaces",
        "wire",
    )
)
#: The modules of these folders that are for another process, or for what is asked later.
LATER_OWN = frozenset(
    (
        "cpu.packages",
        "daemon.self_description",
        "formats.gguf_tokenizer",
        "isolation.host",
        "isolation.host_connection",
        "isolation.host_memory",
        "offload.picture",
        "offload.picture_worker",
        "offload.template",
        "offload.template_worker",
        "offload.worker",
        "server.endpoint_parser",
        "wire.float32",
    )
)
#: The modules of other folders: what a named model's settings are read with.
SINGLE = {
    "chat",
    "chat.embeddings",
    "chat.families",
    "chat.family_table",
    "chat.messages",
    "chat.tool_formats",
    "encoders",
    "encoders.vision",
}
#: The modules of Python that our code asks for by name, however many others have asked before.
STANDARD = (
    "__future__ array base64 bisect codecs collections collections.abc contextlib ctypes"
    " ctypes.util datetime difflib enum errno fcntl fnmatch functools gc grp hashlib hmac io"
    " itertools json math mmap operator os pathlib platform pwd re resource secrets select"
    " shutil signal socket stat struct subprocess sys tempfile termios textwrap threading time"
    " traceback types typing weakref"
)
#: The modules of our dependencies that it asks for.
DEPENDENCIES = (
    "attrs msgspec msgspec.msgpack twisted.application.service"
    " twisted.internet.address twisted.internet.defer twisted.internet.endpoints"
    " twisted.internet.error twisted.internet.interfaces twisted.internet.main"
    " twisted.internet.protocol twisted.internet.reactor twisted.internet.task"
    " twisted.internet.tcp twisted.internet.threads twisted.internet.unix twisted.logger"
    " twisted.plugin twisted.protocols.basic twisted.python.failure twisted.python.logfile"
    " twisted.python.threadpool twisted.python.usage zope.interface zope.interface.verify"
)
ASKED = frozenset((*STANDARD.split(), *DEPENDENCIES.split()))
#: What our modules' names begin with, those of our plugins too.
OWN = ("rkllm_twisted", "twisted.plugins.rkllm")
PACKAGE = Path(__file__).parents[2] / "rkllm_twisted"
#: Starts the daemon, as twistd does, and stops it when it listens. It is given OWN.
START = """
import builtins, json, os, sys
before, asked, given = set(sys.modules), set(), builtins.__import__
own = tuple(sys.argv[1:])

def recorded(name, globals=None, locals=None, fromlist=(), level=0):
    module = given(name, globals, locals, fromlist, level)
    if (globals or {}).get("__name__", "").startswith(own):
        inner = {f"{name}.{each}" for each in fromlist or ()} & set(sys.modules)
        asked.update(inner or {name})
    return module

builtins.__import__ = recorded
import rkllm_twisted.tap
from rkllm_twisted.daemon import twistd
options = twistd.Options()
options.parseOptions(["--socket=sock", "--library=cpu"])
service = twistd.makeService(options)
from twisted.internet import reactor

def start():
    service.privilegedStartService()
    service.startService()
    reactor.callLater(0, tell)

def tell():
    imported = sorted(set(sys.modules) - before)
    print(json.dumps([os.path.exists("sock"), sorted(asked), imported]), flush=True)
    reactor.stop()

reactor.callWhenRunning(start)
reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
reactor.run()
"""
#: Imports the modules that it is given, and Twisted's list of plugins.
IMPORT = """
import importlib, json, sys
import twisted.plugin, twisted.plugins
for name in sys.argv[1:]:
    importlib.import_module(name)
twisted.plugin.getCache(twisted.plugins)
print(json.dumps(sorted(sys.modules)))
"""


def test_a_start_imports_only_what_it_uses(start: Start) -> None:
    """The descriptions, chat, HTTP and clients are imported when they are first used."""
    assert start.listens
    whole = {name for name in _all_modules() if name.partition(".")[0] in WHOLE}
    assert start.own == whole - LATER_OWN | SINGLE


def test_a_start_asks_only_for_what_it_uses(start: Start) -> None:
    """Also for what another has imported by now: the next release of that other may not."""
    assert start.asked == ASKED


def test_a_start_brings_only_what_was_asked_for(start: Start, tmp_path: Path) -> None:
    """A module that comes by a function of Twisted costs as much as one that is named."""
    brought = set(_run(IMPORT, tmp_path, *ASKED))
    assert not start.others - brought


def test_what_comes_later_exists() -> None:
    """A module that is renamed would be allowed."""
    assert _all_modules() >= LATER_OWN


@frozen
class Start:
    """What a start has done: our modules without the package's name, other modules, by name."""

    listens: bool
    asked: set[str]
    own: set[str]
    others: set[str]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return what one start has imported."""
    folder = tmp_path_factory.mktemp("start")
    _run(IMPORT, folder)  # the first process after an installation writes the list of plugins
    listens, asked, imported = _run(START, folder, *OWN)
    own = {name for name in imported if name.startswith(OWN)}
    return Start(
        listens=listens,
        asked={name for name in asked if not name.startswith(OWN)},
        own={name.partition(".")[2] for name in own if name.startswith("rkllm_twisted.")},
        others=set(imported) - own,
    )


def _run(program: str, folder: Path, *words: str) -> Any:
    """Return what a program of its own prints last."""
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _all_modules() -> set[str]:
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return {".".join(path.parts).removesuffix(".__init__") for path in paths}
