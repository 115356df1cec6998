"""What a daemon that is not root may not read or write is a fault of the parameter.

To root everything is readable, so that a process gives its rights up first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from other_users import GROUP, SOMEBODY, needs_root, open_directory

from rkllm_twisted.cpu import demo_model

pytestmark = needs_root

#: Loads a model as root, gives root's rights up, makes the calls, prints their errors.
PROGRAM = """
import json, os, sys
from rkllm_twisted.errors import RPCError
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.runtime import open_runtime

uid, gid, model, directories, calls = json.loads(sys.argv[1])
runtime = open_runtime("cpu", "1.3.0", {}, files=Files(directories))

def error_of(function, params, on_result):
    try:
        runtime.perform(runtime.prepare(function, params), on_result)
    except RPCError as error:
        return [error.code, error.message, error.data]

assert error_of("rkllm_init", [{"model_path": model}], None) is None
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
errors = {}
for name, (function, params) in calls.items():
    errors[name] = error_of(function, params, print if function == "rkllm_run" else None)
print(json.dumps(errors))
"""


def calls_with(path: str) -> Mapping[str, tuple[str, Any]]:
    """Return a call for each parameter that names a file."""
    cache = {"save_prompt_cache": 1, "prompt_cache_path": path}
    return {
        "param.model_path": ("rkllm_init", [{"model_path": path}]),
        "lora_adapter.lora_adapter_path": (
            "rkllm_load_lora",
            [{"lora_adapter_path": path, "lora_adapter_name": "a", "scale": 1}],
        ),
        "prompt_cache_path": ("rkllm_load_prompt_cache", [path]),
        "rkllm_infer_params.prompt_cache_params.prompt_cache_path": (
            "rkllm_run",
            [{"prompt_input": "a"}, {"prompt_cache_params": cache}],
        ),
    }


def errors_of(calls: Mapping[str, Any], *directories: Path) -> Mapping[str, Any]:
    """Make calls as another user; return the error of each."""
    model, roots = str(demo_model()), [*map(str, directories)]
    if roots:
        roots.append(str(demo_model().parent))
    argument = json.dumps([SOMEBODY, GROUP, model, roots, calls])
    words = [sys.executable, "-c", PROGRAM, argument]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    errors: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return errors


@pytest.fixture(scope="module")
def shelf() -> Iterator[Path]:
    """A directory that another user may enter, with a directory and a file that are root's."""
    with open_directory() as path:
        (path / "private").mkdir(mode=0o700)
        (path / "private" / "file").write_bytes(b"\xffmodel")
        (path / "secret").write_bytes(b"\xffmodel")
        (path / "secret").chmod(0o600)
        (path / "loop").symlink_to("loop")
        yield path


@pytest.mark.parametrize("with_directories", [False, True], ids=["anywhere", "--model-dir"])
def test_a_path_that_the_daemon_may_not_use_names_its_parameter(
    shelf: Path, with_directories: bool
) -> None:
    """Each parameter, with a private file, one in a private directory, and other mistakes."""
    paths = [
        str(shelf / name)
        for name in ("secret", "private/file", "private/new", "secret/below", "loop/x", "x" * 300)
    ]
    calls = {
        f"{parameter} {path}": call
        for path in paths
        for parameter, call in calls_with(path).items()
    }
    errors = errors_of(calls, *[shelf] if with_directories else [])
    for name, error in errors.items():
        parameter = name.partition(" ")[0]
        assert error is not None, name
        assert error[0] == -32602, (name, error)
        assert error[1].startswith(f"{parameter}: "), (name, error)
        assert error[2]["parameter"] == parameter, (name, error)
