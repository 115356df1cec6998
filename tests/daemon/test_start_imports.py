"""A start imports what it uses: each module costs time and memory at every boot of a board."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: The folders and modules of the package of which a start may import anything but LATER_OWN.
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
        "daemon.check",
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
        "runtime.malloc",
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
#: Packages from an index: our dependencies and theirs. The second line is Twisted's choice where
#: they are installed.
OUTSIDE = frozenset(
    (
        "attr",
        "attrs",
        "automat",
        "constantly",
        "incremental",
        "msgspec",
        "tomli",  # tomllib before Python 3.11
        "twisted",
        "typing_extensions",
        "zope",
        "OpenSSL",
        "_cffi_backend",
        "_openssl",
        "cryptography",
        "hyperlink",
        "idna",
        "pyasn1",
        "pyasn1_modules",
        "service_identity",
    )
)
#: Modules of Python that our code asks for when it first needs them.
LATER = {"importlib.metadata", "tomllib", "tomli"}
PACKAGE = Path(__file__).parents[2] / "rkllm_twisted"
#: Starts the daemon, as twistd does, and stops it when it listens.
PROGRAM = """
import json, os, sys
before = set(sys.modules)
from rkllm_twisted import tap
options = tap.Options()
options.parseOptions(["--socket=sock", "--library=cpu"])
service = tap.makeService(options)
from twisted.internet import reactor

def start():
    service.privilegedStartService()
    service.startService()
    reactor.callLater(0, tell)

def tell():
    print(json.dumps([os.path.exists("sock"), sorted(set(sys.modules) - before)]), flush=True)
    reactor.stop()

reactor.callWhenRunning(start)
reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
reactor.run()
"""


def test_a_start_imports_only_what_it_uses(tmp_path: Path) -> None:
    """The descriptions, chat, HTTP and clients are imported when they are first used."""
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    listens, imported = json.loads(done.stdout.splitlines()[-1])
    own = [name.partition(".")[2] for name in imported if name.startswith("rkllm_twisted.")]
    others = {
        name.partition(".")[0] for name in imported if not name.startswith("rkllm_twisted")
    } - set(sys.stdlib_module_names)
    assert {name for name in own if name.partition(".")[0] not in WHOLE} <= SINGLE
    assert others <= OUTSIDE, others - OUTSIDE
    assert not LATER & set(imported), "each is for a file or a question"
    assert listens
    assert not LATER_OWN & set(own), LATER_OWN & set(own)


def test_what_comes_later_exists() -> None:
    """A module that is renamed would be allowed."""
    for name in LATER_OWN:
        assert (PACKAGE / Path(*name.split(".")).with_suffix(".py")).is_file(), name
