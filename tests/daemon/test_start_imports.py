"""A start imports what it uses: each module costs time and memory at every boot of a board."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: The folders and modules of the package of which a start may import anything.
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
PROGRAM = """
import json, sys
before = set(sys.modules)
from rkllm_twisted import tap
options = tap.Options()
options.parseOptions(["--socket=sock", "--library=cpu"])
tap.makeService(options)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_start_imports_only_what_it_uses(tmp_path: Path) -> None:
    """The descriptions, chat, HTTP and clients are imported when they are first used."""
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    own = [name.partition(".")[2] for name in imported if name.startswith("rkllm_twisted.")]
    others = {
        name.partition(".")[0] for name in imported if not name.startswith("rkllm_twisted")
    } - set(sys.stdlib_module_names)
    assert {name for name in own if name.partition(".")[0] not in WHOLE} <= SINGLE
    assert others <= OUTSIDE, others - OUTSIDE
    assert not LATER & set(imported), "each is for a file or a question"
    assert "daemon.about" in own, "the program has made the service"
    assert "daemon.self_description" not in own
