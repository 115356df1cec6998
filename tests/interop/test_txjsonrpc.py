"""txJSON-RPC's own netstring client, from PyPI, against a real daemon.

txJSON-RPC 0.5 is the newest there is. It runs on every Python that the daemon runs on, with
one warning (a comparison with ``is not``) from Python 3.8 on. Its Proxy knows TCP only, so the
example has a subclass whose one method connects to a UNIX socket; nothing else is changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from daemons import MAX_WAIT_S, Daemon, environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "txjsonrpc_call.py"


def call(daemon: Daemon, method: str, *params: object) -> subprocess.CompletedProcess[str]:
    """Call a method by way of the example."""
    return subprocess.run(
        [sys.executable, EXAMPLE, method, *map(json.dumps, params)],
        env={**environment(), "RKLLM_UDS_PATH": str(daemon.path)},
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_S,
    )


def result(daemon: Daemon, method: str, *params: object) -> Any:
    """The result that the client gave its user."""
    done = call(daemon, method, *params)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_looks_round_as_in_a_server_of_its_own(daemon: Daemon) -> None:
    """The daemon has the three methods of its Introspection, with results of the same shape."""
    names = result(daemon, "system.listMethods")
    assert names == sorted(names)
    assert {"system.listMethods", "system.methodHelp", "system.methodSignature"} <= {*names}
    assert "rkllm.run" in names
    assert result(daemon, "system.methodHelp", "rkllm.run").startswith("Run the model")
    assert result(daemon, "system.methodSignature", "server.ping") == [["string"]]
    assert result(daemon, "system.methodSignature", "rkllm.init") == [["object", "object"]]


def test_it_runs_the_model(daemon: Daemon, tmp_path: Path) -> None:
    """The client takes one answer per request, so it uses rkllm.run."""
    model = tmp_path / "model.script"
    model.write_text('#!rkllm-script 1\nrun\ntoken "Hello, "\ntoken "Zürich"\nfinish\n')
    done = result(daemon, "rkllm.init", {"model_path": str(model)})
    assert done == {"success": True, "status_code": 0}
    said = result(daemon, "rkllm.run", {"role": "user", "prompt_input": "Grüezi"})
    assert said["text"] == "Hello, Zürich"


def test_it_reads_the_openrpc_document(daemon: Daemon) -> None:
    """The document is longer than Twisted's limit of 99,999 bytes, which the example raises."""
    assert result(daemon, "rpc.discover")["openrpc"] == "1.3.2"


def test_an_error_is_its_own_fault(daemon: Daemon) -> None:
    """The fault has the error's code, and its data as the text."""
    done = call(daemon, "system.methodHelp", "rkllm.rnu")
    assert done.returncode == 1
    assert done.stderr.strip() == "-32601 {'method': 'rkllm.rnu'}"
