"""Looks at a library in a process of its own: ``python -m rkllm_twisted.binding.probe``.

A library may crash while it is opened. What comes out is what the daemon needs to know of it
without opening it: version, layout, and the bytes of its default RKLLMParam.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Mapping

import attrs

from rkllm_twisted.binding.runtime import open_runtime
from rkllm_twisted.errors import LibraryError, StartupError
from rkllm_twisted.interfaces import RuntimeVersion

#: Seconds; a library that takes longer to open will not be of use.
PATIENCE = 60.0


@attrs.frozen
class Findings:
    """What a library shows.

    :param defaults: the bytes of the RKLLMParam that ``rkllm_createDefaultParam`` returns.
    """

    version: RuntimeVersion
    defaults: bytes


def probe(library: str | None, abi: str | None, environ: Mapping[str, str]) -> Findings:
    """Open a library in another process and tell what it shows.

    :param library: see :func:`~rkllm_twisted.binding.runtime.open_runtime`.
    :raises LibraryError: it cannot be used; one sentence that says what to do.
    """
    command = [sys.executable, "-m", __name__, json.dumps([library, abi])]
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        what = f"did not open within {PATIENCE:.0f} s"
        raise LibraryError(f"The library {library or 'librkllmrt.so'} {what}.") from None
    if done.returncode == 0:
        # The library may print while it is opened; the last line is ours.
        found = json.loads(done.stdout.splitlines()[-1])
        return Findings(RuntimeVersion(**found["version"]), base64.b64decode(found["defaults"]))
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise LibraryError(
            f"The library {library or 'librkllmrt.so'} crashes while it is opened ({name})."
        )
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    raise LibraryError(lines[-1] if lines else "The library could not be opened.")


def main(argv: list[str]) -> None:
    """Print the findings as a line of JSON, or one sentence on stderr."""
    library, abi = json.loads(argv[1])
    try:
        runtime = open_runtime(library, abi)
    except StartupError as error:
        sys.exit(str(error))
    found = {
        "version": attrs.asdict(runtime.version),
        "defaults": base64.b64encode(runtime.defaults).decode(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv)
